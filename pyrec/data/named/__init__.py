"""Named data sets: what they are, and their download."""
