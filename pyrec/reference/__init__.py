"""Each kernel in plain torch or NumPy: what the tests compare with and the benchmarks race against."""
