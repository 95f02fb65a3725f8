"""The kernels as torch operators, one file each."""
