"""Graph recommenders on C++ kernels of their own."""
