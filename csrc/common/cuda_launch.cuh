#pragma once
// What kernel files write instead of what only nvcc reads, so that g++ can compile them too, for tests on a
// machine without a GPU. No other file than this and cuda_tensor.cuh knows which of the two compiles it.
#include "common/cuda_check.hpp"

#ifdef PYREC_CUDA_ON_CPU
#include "cuda_on_cpu.hpp"
#else
#include <cuda_runtime.h>
#endif

// LAUNCH(kernel, grid, block, shared_bytes, stream, args...) on the caller's stream, a void* or a
// cudaStream_t; throws cuda_error when the launch is refused. A kernel whose template arguments have commas
// goes in parentheses.
#ifdef PYREC_CUDA_ON_CPU
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                           \
  do {                                                                                   \
    ::cuda_on_cpu::launch(#kernel, kernel, grid, block, shared_bytes,                    \
                          static_cast<cudaStream_t>(stream) __VA_OPT__(, ) __VA_ARGS__); \
    ::pyrec::cuda::check_launch(#kernel);                                                \
  } while (false)
#else
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                               \
  do {                                                                                       \
    (kernel)<<<grid, block, shared_bytes, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__); \
    ::pyrec::cuda::check_launch(#kernel);                                                    \
  } while (false)
#endif

// DYNAMIC_SHARED(T, name) declares T* name: the shared memory whose size the launch gives, aligned to 16
// bytes.
#ifdef PYREC_CUDA_ON_CPU
#define DYNAMIC_SHARED(T, name) T* const name = ::cuda_on_cpu::dynamic_shared<T>()
#else
#define DYNAMIC_SHARED(T, name)                                   \
  extern __shared__ __align__(16) unsigned char dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(dynamic_shared)
#endif

namespace pyrec::cuda {

// One load or store of a vector (float4, uint2, ...), to whose size the address must be aligned.
template <class V>
__device__ __forceinline__ V load_vector(const void* address) {
#ifdef PYREC_CUDA_ON_CPU
  ::cuda_on_cpu::check_aligned<V>(address, "load_vector");
#endif
  return *static_cast<const V*>(address);
}

template <class V>
__device__ __forceinline__ void store_vector(void* address, const V& value) {
#ifdef PYREC_CUDA_ON_CPU
  ::cuda_on_cpu::check_aligned<V>(address, "store_vector");
#endif
  *static_cast<V*>(address) = value;
}

// The same in global memory, where the compiler would split some stores that it sees as numbers.
template <class V>
__device__ __forceinline__ void store_global(void* address, const V& value) {
  if constexpr (sizeof(V) == sizeof(uint4)) {
    uint4 bits;
    memcpy(&bits, &value, sizeof bits);
    __stcg(static_cast<uint4*>(address), bits);
  } else {
    store_vector(address, value);
  }
}

}  // namespace pyrec::cuda
