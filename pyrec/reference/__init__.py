"""Each kernel in plain torch or NumPy: what tests and benchmarks compare with."""
