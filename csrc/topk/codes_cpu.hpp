#pragma once
// Codes of 8 bits for vectors, and what they may be wrong by. With a user's vector q and an item's x as
//
//   q = r a + e,  x = s b + f       a, b whole numbers of -127..127; r, s > 0; e, f what the codes leave over
//   q.x = r s (a.b) + r a.f + e.x
//
// the score, a sum of dim products in float32, is by Cauchy-Schwarz and the error of rounded sums (at most
// dim 2^-23 |q| |x|, and dim 2^-126 where products underflow) at most
//
//   r s (a.b) + |r a| |f| + (|e| + dim 2^-23 |q|) |x| + dim 2^-126
//
// A panel has one s; |f| and |x| are its largest. Norms are sums of float64, rounded up.
#include "common/parallel.hpp"
#include "isa/simd.hpp"
#include "topk/tile_cpu.hpp"

#ifdef __AVX512VNNI__
namespace pyrec::PYREC_ISA {

constexpr int64_t code_dim = topk_longest_coded;
constexpr double largest_code = 127.0;

// The instruction multiplies signed numbers by unsigned ones: the items' codes are kept as c = b + 128.
constexpr int32_t unsigned_offset = 128;
constexpr uint32_t unsigned_offsets = 0x80808080;

// Codes are read four at a time, as a word.
PYREC_INLINE int64_t words_of(int64_t dim) { return ceil_div(dim, 4); }

inline float largest_magnitude(const float* row, int64_t dim) {
  return __builtin_bit_cast(float, largest_bits(row, dim));
}

// 1/s for numbers up to `largest`; any will do for zeros.
PYREC_INLINE double inverse_scale(float largest) {
  return largest_code / static_cast<double>(largest > 0.0f ? largest : 1.0f);
}

struct code_norms {
  double norm;       // |x| or more, and so the others
  double code_norm;  // |s b|
  double rest_norm;  // |f|
  int32_t sum;       // of b
};

// code: (words_of(dim),) words of dim codes and zeros.
inline code_norms encode(const float* row, int64_t dim, double inverse, uint32_t* code) {
  constexpr int width = simd<double>::width;
  constexpr double to_whole = 6755399441055744.0;  // 1.5 * 2^52: a sum with it is rounded to a whole number,
  const double scale = 1.0 / inverse;              // which its last bits show in two's complement
  double x[code_dim + width];
  for (int64_t j = 0; j < dim; ++j) x[j] = static_cast<double>(row[j]);
  for (int lane = 0; lane < width; ++lane) x[dim + lane] = 0.0;

  vec<double> squares{}, code_squares{}, rest_squares{};
  int8_t bytes[code_dim + width];
  for (int64_t j = 0; j < dim; j += width) {
    const vec<double> value = load(x + j);
    const vec<double> shifted = multiply_add(value, broadcast(inverse), broadcast(to_whole));
    const vec<double> near = (shifted - to_whole) * scale;
    const vec<double> rest = value - near;
    squares = multiply_add(value, value, squares);
    code_squares = multiply_add(near, near, code_squares);
    rest_squares = multiply_add(rest, rest, rest_squares);
    for (int lane = 0; lane < width; ++lane)
      bytes[j + lane] = static_cast<int8_t>(((vec<int64_t>)shifted)[lane]);
  }
  __builtin_memcpy(code, bytes, static_cast<size_t>(words_of(dim)) * 4);

  int32_t sum = 0;
  for (int64_t j = 0; j < dim; ++j) sum += bytes[j];
  double sums[3] = {};
  for (int lane = 0; lane < width; ++lane) {
    sums[0] += squares[lane];
    sums[1] += code_squares[lane];
    sums[2] += rest_squares[lane];
  }
  constexpr double up = 1.0 + 1e-12;  // beyond all the roundings above
  const double norm = __builtin_sqrt(sums[0]) * up;
  return {norm, __builtin_sqrt(sums[1]) * up, __builtin_sqrt(sums[2]) * up + norm * 1e-12, sum};
}

// The segment's candidates, those with long vectors first, by counting: order within a few percent will do.
inline void sort_by_length(const topk_args& a, int64_t segment, int64_t num_rows) {
  constexpr int drop = 18;
  constexpr int64_t num_buckets = int64_t{1} << (31 - drop);
  uint32_t* bucket = a.codes;  // whose room is free as yet
  constexpr int64_t rows_per_task = 1024;
  parallel_ranges(num_rows, rows_per_task, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t candidate = segment + row;
      const float* item = a.items + (a.allowed != nullptr ? a.allowed[candidate] : candidate) * a.dim;
      vec<float> squares{};
      int64_t j = 0;
      for (; j + simd<float>::width <= a.dim; j += simd<float>::width) {
        squares = multiply_add(load(item + j), load(item + j), squares);
      }
      float sum = 0;
      for (int lane = 0; lane < simd<float>::width; ++lane) sum += squares[lane];
      for (; j < a.dim; ++j) sum = multiply_add(item[j], item[j], sum);
      bucket[row] = static_cast<uint32_t>(num_buckets - 1) - (__builtin_bit_cast(uint32_t, sum) >> drop);
    }
  });
  int32_t start[num_buckets + 1] = {};
  for (int64_t row = 0; row < num_rows; ++row) ++start[bucket[row] + 1];
  for (int64_t b = 0; b < num_buckets; ++b) start[b + 1] += start[b];
  for (int64_t row = 0; row < num_rows; ++row) {
    const int64_t candidate = segment + row;
    a.order[start[bucket[row]]++] =
        a.allowed != nullptr ? a.allowed[candidate] : static_cast<int32_t>(candidate);
  }
}

// Codes and bounds of panel p; behind the last candidate its first one is repeated.
inline void encode_panel(const topk_args& a, int64_t p, int64_t num_rows) {
  const int64_t words = words_of(a.dim);
  const int64_t first = p * panel_width;
  const int64_t left = num_rows - first < panel_width ? num_rows - first : panel_width;
  float largest = 0.0f;
  for (int64_t lane = 0; lane < panel_width; ++lane) {
    int32_t& id = a.order[first + lane];
    if (lane >= left) id = a.order[first];
    const float magnitude = largest_magnitude(a.items + id * a.dim, a.dim);
    largest = magnitude > largest ? magnitude : largest;
  }
  topk_panel_bounds bounds{inverse_scale(largest), 0.0, 0.0};
  uint32_t* codes = a.codes + p * words * panel_width;
  for (int64_t lane = 0; lane < panel_width; ++lane) {
    uint32_t code[code_dim / 4];
    const code_norms item =
        encode(a.items + a.order[first + lane] * a.dim, a.dim, bounds.inverse_scale, code);
    bounds.rest_norm = item.rest_norm > bounds.rest_norm ? item.rest_norm : bounds.rest_norm;
    bounds.norm = item.norm > bounds.norm ? item.norm : bounds.norm;
    for (int64_t j = 0; j < words; ++j) codes[j * panel_width + lane] = code[j] ^ unsigned_offsets;
  }
  a.bounds[p] = bounds;
}

}  // namespace pyrec::PYREC_ISA
#endif
