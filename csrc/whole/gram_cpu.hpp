#pragma once
// Sums of outer products of rows, and rows times a small matrix. Rows have a whole number of vectors, of which the
// numbers beyond `dim` are zero.
#include <cstdint>

#include "isa/simd.hpp"

namespace pyrec::PYREC_ISA {

// Rows that are packed side by side before their outer products are summed: they stay in the first cache.
constexpr int64_t gram_rows = 64;

// sum[i] += scaled[i] * right of Rows columns i from `i` on and Vectors vectors from column j on.
template <int Rows, int Vectors, class T>
PYREC_INLINE void add_tile(const T* left, const T* right, int64_t count, int64_t stride, int64_t i, int64_t j,
                           T* sum) {
  constexpr int width = simd<T>::width;
  vec<T> tile[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) tile[r][v] = load(sum + (i + r) * stride + j + v * width);
  }
  for (int64_t k = 0; k < count; ++k) {
    vec<T> row[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) row[v] = load(right + k * stride + j + v * width);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const vec<T> factor = broadcast(left[k * stride + i + r]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) tile[r][v] = multiply_add(factor, row[v], tile[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) store(sum + (i + r) * stride + j + v * width, tile[r][v]);
  }
}

// sum += left^T right; left, right: (count, stride); sum: (dim, stride).
template <class T>
PYREC_INLINE void add_outer(const T* left, const T* right, int64_t count, int64_t dim, int64_t stride,
                            T* sum) {
  constexpr int width = simd<T>::width;
  for (int64_t j = 0; j < stride; j += 2 * width) {
    const bool two = j + width < stride;
    int64_t i = 0;
    for (; i + 4 <= dim; i += 4) {
      if (two) {
        add_tile<4, 2>(left, right, count, stride, i, j, sum);
      } else {
        add_tile<4, 1>(left, right, count, stride, i, j, sum);
      }
    }
    for (; i < dim; ++i) {
      if (two) {
        add_tile<1, 2>(left, right, count, stride, i, j, sum);
      } else {
        add_tile<1, 1>(left, right, count, stride, i, j, sum);
      }
    }
  }
}

template <int Rows, int Vectors, class T>
PYREC_INLINE void multiply_tile(const T* const (&rows)[Rows], const T* matrix, int64_t dim, int64_t stride,
                                int64_t j, T* out) {
  constexpr int width = simd<T>::width;
  vec<T> tile[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) tile[r][v] = vec<T>{};
  }
  for (int64_t i = 0; i < dim; ++i) {
    vec<T> row[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) row[v] = load(matrix + i * stride + j + v * width);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const vec<T> factor = broadcast(rows[r][i]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) tile[r][v] = multiply_add(factor, row[v], tile[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) store(out + r * stride + j + v * width, tile[r][v]);
  }
}

// out[r] = row r times matrix; matrix: (dim, stride); out: (Rows, stride). Each row has the bits that it has alone.
template <int Rows, class T>
PYREC_INLINE void multiply_rows(const T* const (&rows)[Rows], const T* matrix, int64_t dim, int64_t stride,
                                T* out) {
  constexpr int width = simd<T>::width;
  int64_t j = 0;
  for (; j + 5 * width <= stride; j += 5 * width) multiply_tile<Rows, 5>(rows, matrix, dim, stride, j, out);
  for (; j + 2 * width <= stride; j += 2 * width) multiply_tile<Rows, 2>(rows, matrix, dim, stride, j, out);
  for (; j < stride; j += width) multiply_tile<Rows, 1>(rows, matrix, dim, stride, j, out);
}

// a . b of whole vectors.
template <class T>
PYREC_INLINE vec<T> product_lanes(const T* a, const T* b, int64_t stride) {
  vec<T> sum{};
  for (int64_t c = 0; c < stride; c += simd<T>::width) sum = multiply_add(load(a + c), load(b + c), sum);
  return sum;
}

template <class T>
PYREC_INLINE T row_product(const T* a, const T* b, int64_t stride) {
  const vec<T> lanes = product_lanes(a, b, stride);
  T total = 0;
  for (int lane = 0; lane < simd<T>::width; ++lane) total += lanes[lane];
  return total;
}

// to += factor * from.
template <class T>
PYREC_INLINE void add_scaled(T factor, const T* from, T* to, int64_t stride) {
  const vec<T> times = broadcast(factor);
  for (int64_t c = 0; c < stride; c += simd<T>::width)
    store(to + c, multiply_add(times, load(from + c), load(to + c)));
}

}  // namespace pyrec::PYREC_ISA
