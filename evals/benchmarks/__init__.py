"""Other suites' benchmarks by their own protocols, on their own files."""
