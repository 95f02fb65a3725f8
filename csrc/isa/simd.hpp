#pragma once
// Vectors of the instruction set that this file is compiled for (PYREC_ISA, PYREC_VECTOR_BYTES).
#ifdef __x86_64__
#include <immintrin.h>
#endif

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

template <class T>
PYREC_INLINE vec<T> square_root(vec<T> value) {
  for (int lane = 0; lane < simd<T>::width; ++lane) {
    if constexpr (sizeof(T) == sizeof(float)) {
      value[lane] = __builtin_sqrtf(value[lane]);
    } else {
      value[lane] = __builtin_sqrt(value[lane]);
    }
  }
  return value;
}

// Products of lanes that hold 32-bit words: exact in 64 bits.
PYREC_INLINE vec<uint64_t> multiply_words(vec<uint64_t> a, vec<uint64_t> b) {
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  // The unmasked form makes GCC 12 warn of an uninitialised operand that does not matter.
  return (vec<uint64_t>)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);
#elif defined(__x86_64__) && PYREC_VECTOR_BYTES == 32
  return (vec<uint64_t>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (vec<uint64_t>)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return a * b;
#endif
}

// Bit l is set where lane l of a is greater than that of b.
PYREC_INLINE uint32_t greater_bits(vec<float> a, vec<float> b) {
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
#elif defined(__x86_64__) && PYREC_VECTOR_BYTES == 32
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)));
#elif defined(__x86_64__)
  return static_cast<uint32_t>(_mm_movemask_ps(_mm_cmpgt_ps(a, b)));
#else
  uint32_t bits = 0;
  for (int lane = 0; lane < simd<float>::width; ++lane) bits |= uint32_t{a[lane] > b[lane]} << lane;
  return bits;
#endif
}

}  // namespace pyrec::PYREC_ISA
