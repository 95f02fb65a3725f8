"""The accuracy harness: a grid of data sets, models and seeds, run and reported."""
