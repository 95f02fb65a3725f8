"""Training: batches, losses, steps and epochs."""
