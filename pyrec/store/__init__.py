"""Saved models, training checkpoints, and the arrays in both."""
