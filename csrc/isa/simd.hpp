#pragma once
// Vectors of the instruction set that this file is compiled for (PYREC_ISA, PYREC_VECTOR_BYTES).
#ifdef __x86_64__
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <cstdint>

#include "common/bfloat16.hpp"
#include "common/inline.hpp"

namespace pyrec::PYREC_ISA {

template <class T>
struct simd {
  static constexpr int width = PYREC_VECTOR_BYTES / sizeof(T);
  typedef T vector __attribute__((vector_size(PYREC_VECTOR_BYTES)));
  typedef T unaligned __attribute__((vector_size(PYREC_VECTOR_BYTES), aligned(alignof(T)), may_alias));
};

// bfloat16 has no vectors of its own: loads widen it to float, stores round to it.
template <>
struct simd<bfloat16> : simd<float> {
  typedef uint16_t halves __attribute__((vector_size(PYREC_VECTOR_BYTES / 2)));
  typedef uint16_t unaligned_halves
      __attribute__((vector_size(PYREC_VECTOR_BYTES / 2), aligned(alignof(bfloat16)), may_alias));
  typedef uint32_t unaligned_pairs
      __attribute__((vector_size(PYREC_VECTOR_BYTES), aligned(alignof(bfloat16)), may_alias));
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

// The first `count` lanes; the others are zero. Masks spare the way through memory, lane by lane, where there are any.
template <class T>
PYREC_INLINE vec<T> load_partial(const T* from, int count) {
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  const uint32_t mask = (uint32_t{1} << count) - 1;
  if constexpr (sizeof(T) == sizeof(float)) {
    return (vec<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
  } else {
    return (vec<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), from);
  }
#elif defined(__x86_64__) && PYREC_VECTOR_BYTES == 32
  if constexpr (sizeof(T) == sizeof(float)) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return (vec<T>)_mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes));
  } else {
    const __m256i lanes = _mm256_setr_epi64x(0, 1, 2, 3);
    return (vec<T>)_mm256_maskload_pd(from, _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), lanes));
  }
#else
  vec<T> value{};
  for (int lane = 0; lane < count; ++lane) value[lane] = from[lane];
  return value;
#endif
}

template <class T>
PYREC_INLINE void store_partial(T* to, vec<T> value, int count) {
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  const uint32_t mask = (uint32_t{1} << count) - 1;
  if constexpr (sizeof(T) == sizeof(float)) {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask), (__m512)value);
  } else {
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>(mask), (__m512d)value);
  }
#else
  for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
#endif
}

// a * b + c: rounded once where the instruction set has it, elsewhere the product and then the sum. The
// compiler makes neither of the other (-ffp-contract=off), so the bits of a sum do not depend on the loop it
// stands in.
PYREC_INLINE float multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

PYREC_INLINE double multiply_add(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

PYREC_INLINE vec<float> multiply_add(vec<float> a, vec<float> b, vec<float> c) {
#if defined(__FMA__) && PYREC_VECTOR_BYTES == 64
  return (vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__) && PYREC_VECTOR_BYTES == 32
  return (vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FMA__)
  return (vec<float>)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
#elif defined(__aarch64__)
  return (vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

PYREC_INLINE vec<double> multiply_add(vec<double> a, vec<double> b, vec<double> c) {
#if defined(__FMA__) && PYREC_VECTOR_BYTES == 64
  return (vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__) && PYREC_VECTOR_BYTES == 32
  return (vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__FMA__)
  return (vec<double>)_mm_fmadd_pd((__m128d)a, (__m128d)b, (__m128d)c);
#elif defined(__aarch64__)
  return (vec<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
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

// GCC 12 makes two halves and joins them of __builtin_convertvector.
PYREC_INLINE vec<float> widen(simd<bfloat16>::halves value) {
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  return (vec<float>)((vec<uint32_t>)_mm512_maskz_cvtepu16_epi32(0xFFFF, (__m256i)value) << 16);
#elif defined(__x86_64__) && PYREC_VECTOR_BYTES == 32
  return (vec<float>)((vec<uint32_t>)_mm256_cvtepu16_epi32((__m128i)value) << 16);
#elif defined(__x86_64__)
  return (vec<float>)_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_cvtsi64_si128((long long)value));
#else
  return (vec<float>)(__builtin_convertvector(value, vec<uint32_t>) << 16);
#endif
}

PYREC_INLINE simd<bfloat16>::halves narrow(vec<float> value) {
  const vec<uint32_t> bits = round_to_bfloat16(value, (vec<uint32_t>)value);
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  return (simd<bfloat16>::halves)_mm512_maskz_cvtepi32_epi16(0xFFFF, (__m512i)bits);
#else
  return __builtin_convertvector(bits, simd<bfloat16>::halves);
#endif
}

PYREC_INLINE vec<float> load(const bfloat16* from) {
  return widen(*reinterpret_cast<const simd<bfloat16>::unaligned_halves*>(from));
}

// 2 * width numbers, the even columns and the odd ones apart: one load and no shuffle.
PYREC_INLINE void load_apart(const bfloat16* from, vec<float>& even, vec<float>& odd) {
  const vec<uint32_t> pairs = *reinterpret_cast<const simd<bfloat16>::unaligned_pairs*>(from);
  even = (vec<float>)(pairs << 16);
  odd = (vec<float>)(pairs & 0xFFFF0000);
}

// Undoes `load_apart`: the even and the odd columns become the first half of them and the second.
PYREC_INLINE void interleave(vec<float>& even, vec<float>& odd) {
  constexpr int width = simd<float>::width;
  vec<uint32_t> lanes{};
  for (int lane = 0; lane < width; ++lane) lanes[lane] = lane / 2 + (lane % 2) * width;
  const vec<float> first = __builtin_shuffle(even, odd, lanes);
  odd = __builtin_shuffle(even, odd, lanes + width / 2);
  even = first;
}

// Lanes of the one and of the other in turn: the first half of them and the second.
PYREC_INLINE void interleave(vec<uint64_t>& even, vec<uint64_t>& odd) {
  constexpr uint64_t width = simd<uint64_t>::width;
  vec<uint64_t> lanes{};
  for (uint64_t lane = 0; lane < width; ++lane) lanes[lane] = lane / 2 + (lane % 2) * width;
  const vec<uint64_t> first = __builtin_shuffle(even, odd, lanes);
  odd = __builtin_shuffle(even, odd, lanes + width / 2);
  even = first;
}

// Four numbers from `at` on of rows 0, 4, 8 .. side by side.
PYREC_INLINE vec<float> load_fours(const float* const* row, int64_t at) {
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  __m512 fours = _mm512_zextps128_ps512(_mm_loadu_ps(row[0] + at));
  fours = _mm512_insertf32x4(fours, _mm_loadu_ps(row[4] + at), 1);
  fours = _mm512_insertf32x4(fours, _mm_loadu_ps(row[8] + at), 2);
  return _mm512_insertf32x4(fours, _mm_loadu_ps(row[12] + at), 3);
#elif defined(__x86_64__) && PYREC_VECTOR_BYTES == 32
  return _mm256_loadu2_m128(row[4] + at, row[0] + at);
#else
  return load(row[0] + at);
#endif
}

// Each four lanes of four vectors, a square, are turned over its diagonal.
PYREC_INLINE void transpose_fours(vec<float> (&a)[4]) {
  constexpr int width = simd<float>::width;
  vec<uint32_t> ones{}, pairs{};
  for (uint32_t lane = 0; lane < width; ++lane) {
    ones[lane] = lane / 4 * 4 + lane % 4 / 2 + lane % 2 * width;
    pairs[lane] = lane / 4 * 4 + lane % 2 + lane % 4 / 2 * width;
  }
  const vec<float> even[2] = {__builtin_shuffle(a[0], a[1], ones), __builtin_shuffle(a[2], a[3], ones)};
  const vec<float> odd[2] = {__builtin_shuffle(a[0], a[1], ones + 2),
                             __builtin_shuffle(a[2], a[3], ones + 2)};
  a[0] = __builtin_shuffle(even[0], even[1], pairs);
  a[1] = __builtin_shuffle(even[0], even[1], pairs + 2);
  a[2] = __builtin_shuffle(odd[0], odd[1], pairs);
  a[3] = __builtin_shuffle(odd[0], odd[1], pairs + 2);
}

PYREC_INLINE void store(bfloat16* to, vec<float> value) {
  *reinterpret_cast<simd<bfloat16>::unaligned_halves*>(to) = narrow(value);
}

PYREC_INLINE vec<float> load_partial(const bfloat16* from, int count) {
  simd<bfloat16>::halves value{};
  for (int lane = 0; lane < count; ++lane) value[lane] = from[lane].bits;
  return widen(value);
}

PYREC_INLINE void store_partial(bfloat16* to, vec<float> value, int count) {
  const simd<bfloat16>::halves rounded = narrow(value);
  for (int lane = 0; lane < count; ++lane) to[lane].bits = rounded[lane];
}

// Products of the low 32-bit words of lanes, exact in 64 bits; the high ones are not looked at.
PYREC_INLINE vec<uint64_t> multiply_words(vec<uint64_t> a, vec<uint64_t> b) {
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  // The unmasked form makes GCC 12 warn of an uninitialised operand that does not matter.
  return (vec<uint64_t>)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);
#elif defined(__x86_64__) && PYREC_VECTOR_BYTES == 32
  return (vec<uint64_t>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (vec<uint64_t>)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
  return (vec<uint64_t>)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
  constexpr uint64_t low_word = 0xFFFFFFFF;
  return (a & low_word) * (b & low_word);
#endif
}

// from[index] of each lane.
PYREC_INLINE vec<int64_t> gather(const int32_t* from, vec<int64_t> index) {
#if defined(__x86_64__) && PYREC_VECTOR_BYTES == 64
  const __m256i found = _mm512_mask_i64gather_epi32(_mm256_setzero_si256(), 0xFF, (__m512i)index, from, 4);
  return (vec<int64_t>)_mm512_maskz_cvtepi32_epi64(0xFF, found);
#else
  vec<int64_t> found{};
  for (int64_t lane = 0; lane < simd<int64_t>::width; ++lane) found[lane] = from[index[lane]];
  return found;
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
