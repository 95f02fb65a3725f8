#pragma once
// The words that CUDA adds to C++.
#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
// One block at a time runs on a thread of the CPU; see memory.hpp for what it holds at the block's start.
#define __shared__ static thread_local
