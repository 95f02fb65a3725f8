#pragma once
// Small dense products of padded blocks.
#include <cstdint>

#include "isa/vector_math.hpp"

namespace pyrec::PYREC_ISA {

// c[i][j] (+)= sum_s a[i * a_row + s * a_step] * b[s * b_stride + j]: `a` is read number by number, whichever
// way it lies, b and c in whole vectors. `columns` is a multiple of combine_padding.
template <class T>
struct product {
  const T* a;
  int64_t a_row, a_step;
  const T* b;
  int64_t b_stride;
  T* c;
  int64_t c_stride;
  int64_t rows, steps, columns;
  bool accumulate;
};

// Tile in registers: rows * vectors accumulators, a row of b and one number of a.
constexpr int product_rows_at_once = 6;
constexpr int product_vectors = PYREC_VECTOR_BYTES == 64 ? 4 : 2;

template <int Rows, int Vectors, class T>
void product_tile(const product<T>& p, int64_t row, int64_t column) {
  constexpr int width = simd<T>::width;
  T* c = p.c + row * p.c_stride + column;
  vec<T> acc[Rows][Vectors] = {};
  if (p.accumulate) {
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = load(c + i * p.c_stride + v * width);
    }
  }
  const T* a = p.a + row * p.a_row;
  const T* b = p.b + column;
  for (int64_t s = 0; s < p.steps; ++s, a += p.a_step, b += p.b_stride) {
    vec<T> right[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) right[v] = load(b + v * width);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const vec<T> left = broadcast(a[i * p.a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = multiply_add(left, right[v], acc[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(c + i * p.c_stride + v * width, acc[i][v]);
  }
}

// The last rows, fewer than a tile has.
template <int Rows, int Vectors, class T>
PYREC_INLINE void product_last_rows(const product<T>& p, int64_t row, int64_t column) {
  if constexpr (Rows > 0) {
    if (p.rows - row == Rows) return product_tile<Rows, Vectors>(p, row, column);
    product_last_rows<Rows - 1, Vectors>(p, row, column);
  }
}

template <int Vectors, class T>
void product_panel(const product<T>& p, int64_t column) {
  int64_t row = 0;
  for (; row + product_rows_at_once <= p.rows; row += product_rows_at_once)
    product_tile<product_rows_at_once, Vectors>(p, row, column);
  product_last_rows<product_rows_at_once - 1, Vectors>(p, row, column);
}

template <int Vectors, class T>
PYREC_INLINE void product_last_panel(const product<T>& p, int64_t column) {
  if constexpr (Vectors > 0) {
    if (p.columns - column == Vectors * simd<T>::width) return product_panel<Vectors>(p, column);
    product_last_panel<Vectors - 1>(p, column);
  }
}

template <class T>
void multiply(const product<T>& p) {
  constexpr int64_t panel = product_vectors * simd<T>::width;
  int64_t column = 0;
  for (; column + panel <= p.columns; column += panel) product_panel<product_vectors>(p, column);
  product_last_panel<product_vectors - 1>(p, column);
}

// to[j][i] = from[i][j]; rows and columns are multiples of combine_padding.
template <class T>
void transpose(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  constexpr int width = simd<T>::width;
  for (int64_t i = 0; i < rows; i += width) {
    for (int64_t j = 0; j < columns; j += width) {
      transpose_square(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
    }
  }
}

// Rows padded with zeros: to (rows, padded_columns) = from (rows, columns), or its transpose with the strides
// of `from` exchanged.
template <class T>
void pack(const T* from, int64_t row_stride, int64_t column_stride, int64_t rows, int64_t columns, T* to,
          int64_t padded_columns) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < padded_columns; ++j) {
      to[i * padded_columns + j] = j < columns ? from[i * row_stride + j * column_stride] : T(0);
    }
  }
}

}  // namespace pyrec::PYREC_ISA
