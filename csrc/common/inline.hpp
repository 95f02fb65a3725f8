#pragma once
// For functions in headers that several instruction sets include: inlined always, they leave no shared
// symbol.
#define PYREC_INLINE inline __attribute__((always_inline))

// For functions that kernels on a CUDA device call too.
#ifdef __CUDACC__
#define PYREC_HOST_DEVICE __host__ __device__
#else
#define PYREC_HOST_DEVICE
#endif
