"""A run on disk: its folder, keys, journals, lock, features and provenance."""
