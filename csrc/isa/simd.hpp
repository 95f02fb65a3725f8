#pragma once
// Vectors of the instruction set that this file is compiled for (PYREC_ISA, PYREC_VECTOR_BYTES).
#include <cstdint>

#include "common/inline.hpp"

namespace pyrec::PYREC_ISA {

template <class T>
struct simd {
  static constexpr int width = PYREC_VECTOR_BYTES / sizeof(T);
  typedef T vector __attribute__((vector_size(PYREC_VECTOR_BYTES)));
  typedef T unaligned __attribute__((vector_size(PYREC_VECTOR_BYTES), aligned(alignof(T)), may_alias));
};

template <class T>
using vec = typename simd<T>::vector;

template <class T>
PYREC_INLINE vec<T> load(const T* from) {
  return *reinterpret_cast<const typename simd<T>::unaligned*>(from);
}

template <class T>
PYREC_INLINE void store(T* to, vec<T> value) {
  *reinterpret_cast<typename simd<T>::unaligned*>(to) = value;
}

template <class T>
PYREC_INLINE vec<T> broadcast(T value) {
  return value - vec<T>{};
}

// The first `count` lanes; the others are zero.
template <class T>
PYREC_INLINE vec<T> load_partial(const T* from, int count) {
  vec<T> value{};
  for (int lane = 0; lane < count; ++lane) value[lane] = from[lane];
  return value;
}

template <class T>
PYREC_INLINE void store_partial(T* to, vec<T> value, int count) {
  for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
}

}  // namespace pyrec::PYREC_ISA
