#pragma once
// Rows brought to length 1: with r = 1 / ||x|| and y = r times the gradient in r x, the gradient in x is
// y - r^2 <x, y> x, the part of y across x.
#include "combine/combine.hpp"
#include "isa/vector_math.hpp"

namespace pyrec::PYREC_ISA {

// Lane i = <x[i], y[i]>, for the first rows of x and y (rows, padded_dim), as many as a vector has lanes.
template <class T>
PYREC_INLINE vec<T> dot_of_rows(const T* x, const T* y, int64_t padded_dim) {
  constexpr int width = simd<T>::width;
  vec<T> sums[width] = {};
  for (int i = 0; i < width; ++i) {
    for (int64_t j = 0; j < padded_dim; j += width) {
      sums[i] = multiply_add(load(x + i * padded_dim + j), load(y + i * padded_dim + j), sums[i]);
    }
  }
  return sum_lanes<T>(sums);
}

// inverse: (rows,) = 1 / ||x||, 0 for a row of zeros, for x (rows, padded_dim).
template <class T>
void inverse_lengths(const T* x, int64_t rows, int64_t padded_dim, T* inverse) {
  const vec<T> least = broadcast(least_square_sum<T>);
  for (int64_t row = 0; row < rows; row += simd<T>::width) {
    const T* from = x + row * padded_dim;
    const vec<T> squares = dot_of_rows(from, from, padded_dim);
    store(inverse + row, squares < least ? vec<T>{} : 1 / square_root<T>(squares));
  }
}

// x[row] *= factors[row], for factors (rows,), x (rows, columns).
template <class T>
void scale_rows(const T* factors, int64_t rows, int64_t columns, T* x) {
  constexpr int width = simd<T>::width;
  for (int64_t row = 0; row < rows; ++row) {
    const vec<T> factor = broadcast(factors[row]);
    T* to = x + row * columns;
    for (int64_t j = 0; j < columns; j += width) store(to + j, factor * load(to + j));
  }
}

// y -= r^2 <x, y> x row by row, for r (rows,) of inverse_lengths, x and y (rows, padded_dim).
template <class T>
void keep_across_rows(const T* x, const T* inverse, int64_t rows, int64_t padded_dim, T* y) {
  constexpr int width = simd<T>::width;
  for (int64_t row = 0; row < rows; row += width) {
    const T* from = x + row * padded_dim;
    T* to = y + row * padded_dim;
    const vec<T> r = load(inverse + row);
    const vec<T> along = r * r * dot_of_rows<T>(from, to, padded_dim);
    for (int i = 0; i < width; ++i) {
      const vec<T> factor = broadcast<T>(along[i]);
      for (int64_t j = i * padded_dim; j < (i + 1) * padded_dim; j += width) {
        store(to + j, multiply_add(-factor, load(from + j), load(to + j)));
      }
    }
  }
}

}  // namespace pyrec::PYREC_ISA
