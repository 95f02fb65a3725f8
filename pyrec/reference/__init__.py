"""The kernels in plain torch, one file each: what tests compare with and benchmarks race against."""
