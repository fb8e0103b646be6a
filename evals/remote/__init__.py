"""What generators, and later judges, share on a wire: client, outcomes of requests, budget, job log."""
