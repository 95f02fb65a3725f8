#pragma once
#include "combine/block_cpu.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t weighted_rows_per_task = 256;

// Columns [column, column + Vectors * width) of one row of the sum.
template <int Vectors, class T>
PYREC_INLINE void weighted_columns(const combine_weighted_args<T>& a, int64_t row, int64_t column) {
  constexpr int width = simd<T>::width;
  vec<T> sum[Vectors] = {};
  for (int64_t l = 0; l < a.input.num_layers; ++l) {
    const T* x = a.input.layers[l].rows + row * a.input.layers[l].stride + column;
    for (int v = 0; v < Vectors; ++v)
      sum[v] = multiply_add(broadcast(a.alpha[l]), load(x + v * width), sum[v]);
  }
  T* out = a.out + row * a.input.dim + column;
  for (int v = 0; v < Vectors; ++v) store(out + v * width, sum[v]);
}

template <class T>
PYREC_INLINE void weighted_row(const combine_weighted_args<T>& a, int64_t row) {
  constexpr int width = simd<T>::width;
  int64_t j = 0;
  for (; j + 4 * width <= a.input.dim; j += 4 * width) weighted_columns<4>(a, row, j);
  for (; j + width <= a.input.dim; j += width) weighted_columns<1>(a, row, j);
  for (; j < a.input.dim; ++j) {
    T sum = 0;
    for (int64_t l = 0; l < a.input.num_layers; ++l) {
      sum = multiply_add(a.alpha[l], a.input.layers[l].rows[row * a.input.layers[l].stride + j], sum);
    }
    a.out[row * a.input.dim + j] = sum;
  }
}

template <class T>
void combine_weighted(const combine_weighted_args<T>& a) {
  parallel_ranges(a.input.num_rows, weighted_rows_per_task, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) weighted_row(a, row);
  });
}

// out = factor * x
template <class T>
PYREC_INLINE void scale_row(T factor, const T* x, int64_t dim, T* out) {
  constexpr int width = simd<T>::width;
  int64_t j = 0;
  for (; j + width <= dim; j += width) store(out + j, broadcast(factor) * load(x + j));
  for (; j < dim; ++j) out[j] = factor * x[j];
}

template <class T>
PYREC_INLINE T dot_row(const T* x, const T* y, int64_t dim) {
  constexpr int width = simd<T>::width;
  vec<T> dots{};
  int64_t j = 0;
  for (; j + width <= dim; j += width) dots = multiply_add(load(x + j), load(y + j), dots);
  T dot = 0;
  for (; j < dim; ++j) dot = multiply_add(x[j], y[j], dot);
  for (int i = 0; i < width; ++i) dot += dots[i];
  return dot;
}

// dx_l = alpha_l g; returns <g, x_l>.
template <class T>
PYREC_INLINE T weighted_grad_row(const combine_weighted_grad_args<T>& a, int64_t l, int64_t row) {
  const int64_t dim = a.input.dim;
  const T* g = a.grad + row * dim;
  if (a.grad_layers != nullptr) scale_row(a.alpha[l], g, dim, a.grad_layers[l] + row * dim);
  if (a.grad_alpha == nullptr) return 0;
  return dot_row(g, a.input.layers[l].rows + row * a.input.layers[l].stride, dim);
}

template <class T>
void weighted_grad_stripe(const combine_weighted_grad_args<T>& a, int64_t stripe, int64_t num_stripes) {
  const int64_t nodes = block_nodes(a.input.num_layers);
  double* partial = a.partial + stripe * a.input.num_layers;
  fill_zero(partial, a.input.num_layers);
  const block_range blocks = stripe_blocks(stripe, num_stripes, a.input.num_rows, nodes);
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const node_block block = block_at(b, nodes, a.input.num_rows);
    for (int64_t l = 0; l < a.input.num_layers; ++l) {
      for (int64_t n = 0; n < block.count; ++n) partial[l] += weighted_grad_row(a, l, block.first + n);
    }
  }
}

template <class T>
void combine_weighted_grad(const combine_weighted_grad_args<T>& a) {
  const int64_t num_stripes = combine_stripes(a.input.num_rows, a.input.num_layers);
  parallel_for(num_stripes, [&](int64_t stripe) { weighted_grad_stripe(a, stripe, num_stripes); });
  if (a.grad_alpha == nullptr) return;
  for (int64_t l = 0; l < a.input.num_layers; ++l) {
    double total = 0;
    for (int64_t s = 0; s < num_stripes; ++s) total += a.partial[s * a.input.num_layers + l];
    a.grad_alpha[l] = static_cast<T>(total);
  }
}

}  // namespace pyrec::PYREC_ISA
