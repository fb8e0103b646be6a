"""Benchmarks: run each file on its own; they print what they measure."""
