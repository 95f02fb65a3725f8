#pragma once
// Exponential, hyperbolic tangent, sums over lanes and transposition for the vectors of isa/simd.hpp.
#include <cstdint>
#include <utility>

#include "isa/simd.hpp"

namespace pyrec::PYREC_ISA {

template <class T>
struct real_bits;

template <>
struct real_bits<float> {
  typedef int32_t integer;
  static constexpr int mantissa = 23;
  static constexpr integer bias = 127;
  static constexpr integer sign = INT32_MIN;
  static constexpr float round = 0x1.8p23f;  // adding it rounds to an integer, which the low bits then hold
  static constexpr float log2_e = 0x1.715476p0f;
  static constexpr float ln2_high = 0x1.63p-1f;  // few enough bits for exact multiples; ln2 = high + low
  static constexpr float ln2_low = -0x1.bd0106p-13f;
  static constexpr float least_exponent = -87.0f;  // exp of less is subnormal
  static constexpr float tanh_is_one = 10.0f;      // from here on tanh rounds to 1
  static constexpr float lowest = -0x1.fffffep127f;
  static constexpr int terms = 7;  // of the series of exp, which leave a quarter of an ulp at |r| = ln2 / 2
};

template <>
struct real_bits<double> {
  typedef int64_t integer;
  static constexpr int mantissa = 52;
  static constexpr integer bias = 1023;
  static constexpr integer sign = INT64_MIN;
  static constexpr double round = 0x1.8p52;
  static constexpr double log2_e = 0x1.71547652b82fep0;
  static constexpr double ln2_high = 0x1.62e42feep-1;
  static constexpr double ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr double least_exponent = -708.0;
  static constexpr double tanh_is_one = 20.0;
  static constexpr double lowest = -0x1.fffffffffffffp1023;
  static constexpr int terms = 13;
};

template <class T>
struct integers {
  typedef typename real_bits<T>::integer vector __attribute__((vector_size(PYREC_VECTOR_BYTES)));
};

template <class T>
using ints = typename integers<T>::vector;

// exp(x) = scale * (1 + series): scale = 2^n and series = exp(r) - 1 with x = n ln2 + r, |r| <= ln2 / 2.
template <class T>
struct exp_parts {
  vec<T> scale;
  vec<T> series;
};

// Taylor's coefficients 1 / k!.
template <class T>
constexpr T inverse_factorial(int k) {
  double factorial = 1;
  for (int i = 2; i <= k; ++i) factorial *= i;
  return static_cast<T>(1 / factorial);
}

// A NaN stays one through every clamp and step below: comparisons with it choose it.
template <class T>
PYREC_INLINE exp_parts<T> split_exp(vec<T> x) {
  using bits = real_bits<T>;
  const vec<T> shifted = multiply_add(x, broadcast(bits::log2_e), broadcast(bits::round));
  const vec<T> n = shifted - broadcast(bits::round);
  const vec<T> r = multiply_add(-n, broadcast(bits::ln2_low), multiply_add(-n, broadcast(bits::ln2_high), x));
  const ints<T> exponent = reinterpret_cast<ints<T>>(shifted) + bits::bias;
  constexpr T last = inverse_factorial<T>(bits::terms);
  vec<T> tail = broadcast(last);
#pragma GCC unroll 16
  for (int k = bits::terms - 1; k >= 2; --k) tail = multiply_add(tail, r, broadcast(inverse_factorial<T>(k)));
  return {reinterpret_cast<vec<T>>(exponent << bits::mantissa), multiply_add(r * r, tail, r)};
}

// For x <= 0, as a softmax needs it.
template <class T>
PYREC_INLINE vec<T> exp_negative(vec<T> x) {
  const vec<T> least = broadcast(real_bits<T>::least_exponent);
  const exp_parts<T> e = split_exp<T>(x < least ? least : x);
  return multiply_add(e.scale, e.series, e.scale);
}

// The same, but 0 where the result would be subnormal, so that what is left out has no share.
template <class T>
PYREC_INLINE vec<T> exp_or_zero(vec<T> x) {
  const exp_parts<T> e = split_exp<T>(x);
  return x < broadcast(real_bits<T>::least_exponent) ? vec<T>{} : multiply_add(e.scale, e.series, e.scale);
}

// With m = exp(2|x|) - 1, tanh|x| = m / (m + 2): no cancellation near 0.
template <class T>
PYREC_INLINE vec<T> tanh(vec<T> x) {
  const ints<T> sign = reinterpret_cast<ints<T>>(x) & real_bits<T>::sign;
  const vec<T> magnitude = reinterpret_cast<vec<T>>(reinterpret_cast<ints<T>>(x) ^ sign);
  const vec<T> one = broadcast(real_bits<T>::tanh_is_one);
  const vec<T> bounded = magnitude > one ? one : magnitude;
  const exp_parts<T> e = split_exp<T>(bounded + bounded);
  const vec<T> m = multiply_add(e.scale, e.series, e.scale - 1);
  const vec<T> result = m / (m + 2);
  return reinterpret_cast<vec<T>>(reinterpret_cast<ints<T>>(result) | sign);
}

// a0 b0 a1 b1 ... of the low halves (Half = 0) or the high ones (Half = 1).
template <int Half, class T, int... Lane>
PYREC_INLINE vec<T> interleave(vec<T> a, vec<T> b, std::integer_sequence<int, Lane...>) {
  constexpr int width = simd<T>::width;
#ifdef __clang__
  return __builtin_shufflevector(a, b, (Half * width / 2 + Lane / 2 + Lane % 2 * width)...);
#else
  return __builtin_shuffle(a, b, ints<T>{(Half * width / 2 + Lane / 2 + Lane % 2 * width)...});
#endif
}

template <int Half, class T>
PYREC_INLINE vec<T> interleave(vec<T> a, vec<T> b) {
  return interleave<Half, T>(a, b, std::make_integer_sequence<int, simd<T>::width>{});
}

// Lane i of the result is the sum of the lanes of rows[i].
template <class T>
PYREC_INLINE vec<T> sum_lanes(vec<T> (&rows)[simd<T>::width]) {
#pragma GCC unroll 4
  for (int half = simd<T>::width / 2; half >= 1; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) {
      rows[i] = interleave<0, T>(rows[i], rows[i + half]) + interleave<1, T>(rows[i], rows[i + half]);
    }
  }
  return rows[0];
}

// to[j][i] = from[i][j] for a square of vectors: log2(width) perfect shuffles.
template <class T>
PYREC_INLINE void transpose_square(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  constexpr int width = simd<T>::width;
  vec<T> rows[width];
#pragma GCC unroll 16
  for (int i = 0; i < width; ++i) rows[i] = load(from + i * from_stride);
#pragma GCC unroll 4
  for (int round = 1; round < width; round *= 2) {
    vec<T> next[width];
#pragma GCC unroll 8
    for (int i = 0; i < width / 2; ++i) {
      next[2 * i] = interleave<0, T>(rows[i], rows[i + width / 2]);
      next[2 * i + 1] = interleave<1, T>(rows[i], rows[i + width / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) rows[i] = next[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < width; ++i) store(to + i * to_stride, rows[i]);
}

}  // namespace pyrec::PYREC_ISA
