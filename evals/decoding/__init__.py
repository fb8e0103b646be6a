"""Supervised decoder processes: videos in, features and encoder windows out.

`worker` is what runs in them (never torch), `pool` starts, feeds, watches and replaces them, `wire` is how
they talk, `windows` cuts what encoders get, `resources` is what a machine lends to a command."""
