"""What generators and judges share on a wire: client, pace, outcomes of requests, budget, job log."""
