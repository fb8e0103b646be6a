"""What people say: labels that correct a judge, and blind votes between two models."""
