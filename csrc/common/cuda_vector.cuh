#pragma once
// Numbers of a row, V at a time: in memory as S, in registers as T, which is S or, where S is bfloat16,
// float.
#include "common/bfloat16.hpp"
#include "common/cuda_launch.cuh"

namespace pyrec::cuda {

// Read and written by the fewest accesses, of 16 bytes at most; lies at a multiple of its alignment.
template <class S, int V>
struct alignas(V * sizeof(S) < 16 ? V * sizeof(S) : 16) pack {
  S values[V];
};

template <class S, int V>
__device__ __forceinline__ pack<S, V> load_pack(const S* from) {
  return load_vector<pack<S, V>>(from);
}

// a * b + c, rounded once. What a column becomes is computed with it: of two products and a sum nvcc fuses
// one or the other (-fmad=true), which may differ between the kernels for wide rows and for narrow ones.
__device__ __forceinline__ float multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ __forceinline__ double multiply_add(double a, double b, double c) { return __fma_rn(a, b, c); }

template <class T>
__device__ __forceinline__ T widen(T value) {
  return value;
}
__device__ __forceinline__ float widen(bfloat16 value) {
  return __uint_as_float(static_cast<uint32_t>(value.bits) << 16);
}

template <class S>
struct narrow {
  __device__ static __forceinline__ S from(S value) { return value; }
};
template <>
struct narrow<bfloat16> {
  __device__ static __forceinline__ bfloat16 from(float value) {
    return {static_cast<uint16_t>(round_to_bfloat16(value, __float_as_uint(value)))};
  }
};

template <class T, int V, class S>
__device__ __forceinline__ void load(const S* from, T (&to)[V]) {
  const pack<S, V> stored = load_pack<S, V>(from);
  for (int v = 0; v < V; ++v) to[v] = widen(stored.values[v]);
}

template <class T, int V, class S>
__device__ __forceinline__ void store(S* to, const T (&from)[V]) {
  pack<S, V> stored;
  for (int v = 0; v < V; ++v) stored.values[v] = narrow<S>::from(from[v]);
  store_vector(to, stored);
}

// Whether packs of V may be used at such an array; a null pointer is no obstacle.
inline bool aligned(const void* array) { return reinterpret_cast<uintptr_t>(array) % 16 == 0; }

}  // namespace pyrec::cuda
