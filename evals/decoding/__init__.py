"""Supervised decoder processes: videos in, rows and encoder windows out.

`worker` is what runs in them (never torch), `pool` starts, feeds, watches and replaces them, `wire` is
how they talk, `windows` cuts what encoders see.
"""
