"""Physical plausibility: laws on tracks where a law can be tested, and silence where nothing can be known."""
