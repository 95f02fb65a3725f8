#pragma once
// Scores of a block of rows by additive attention, and their gradients: what pool and combine share. Arrays is
// pool_scratch or attention_scratch: `rows` of x lie in (rows, dim), their projections in (rows, hidden).
#include "isa/block_product.hpp"

namespace pyrec::PYREC_ISA {

// Parameters padded for the products: weight (hidden, dim), bias (hidden,), vector (heads, hidden).
template <class T, template <class> class Arrays>
void pack_scores(const T* weight, const T* bias, const T* vector, int64_t heads, int64_t hidden, int64_t dim,
                 bool backward, const Arrays<T>& s) {
  pack(weight, 1, dim, dim, hidden, s.weight_t, s.hidden);
  pack(bias, 0, 1, 1, hidden, s.bias, s.hidden);
  pack(vector, hidden, 1, heads, hidden, s.vector, s.hidden);
  if (backward) pack(weight, dim, 1, hidden, dim, s.weight, s.dim);
}

// projected: (rows, hidden) = x W^T
template <class T, template <class> class Arrays>
void project_rows(const Arrays<T>& s, int64_t dim) {
  multiply<T>({.a = s.x,
               .a_row = s.dim,
               .a_step = 1,
               .b = s.weight_t,
               .b_stride = s.hidden,
               .c = s.projected,
               .c_stride = s.hidden,
               .rows = s.rows,
               .steps = dim,
               .columns = s.hidden,
               .accumulate = false});
}

// scores: (rows,), a multiple of the vectors' width, s = v . tanh(projected + b)
template <class T, template <class> class Arrays>
void score_rows(const Arrays<T>& s) {
  constexpr int width = simd<T>::width;
  for (int64_t row = 0; row < s.rows; row += width) {
    vec<T> sums[width] = {};
    for (int i = 0; i < width; ++i) {
      const T* projected = s.projected + (row + i) * s.hidden;
      for (int64_t h = 0; h < s.hidden; h += width) {
        const vec<T> t = tanh<T>(load(projected + h) + load(s.bias + h));
        sums[i] = multiply_add(load(s.vector + h), t, sums[i]);
      }
    }
    store(s.scores + row, sum_lanes<T>(sums));
  }
}

// projected: (rows, hidden) becomes z = ds v (1 - t^2), with ds in scores; db and dv grow.
template <class T, template <class> class Arrays>
void score_hidden_grads(const Arrays<T>& s) {
  constexpr int width = simd<T>::width;
  for (int64_t h = 0; h < s.hidden; h += width) {
    const vec<T> bias = load(s.bias + h);
    const vec<T> vector = load(s.vector + h);
    vec<T> grad_bias{};
    vec<T> grad_vector{};
    for (int64_t row = 0; row < s.rows; ++row) {
      T* projected = s.projected + row * s.hidden + h;
      const vec<T> grad = broadcast(s.scores[row]);
      const vec<T> t = tanh<T>(load(projected) + bias);
      const vec<T> z = grad * vector * multiply_add(-t, t, broadcast(T(1)));
      grad_vector = multiply_add(grad, t, grad_vector);
      grad_bias += z;
      store(projected, z);
    }
    store(s.grad_bias + h, load(s.grad_bias + h) + grad_bias);
    store(s.grad_vector + h, load(s.grad_vector + h) + grad_vector);
  }
}

// dW grows by z^T x, with z in projected.
template <class T, template <class> class Arrays>
void score_weight_grads(const Arrays<T>& s, int64_t hidden) {
  multiply<T>({.a = s.projected,
               .a_row = 1,
               .a_step = s.hidden,
               .b = s.x,
               .b_stride = s.dim,
               .c = s.grad_weight,
               .c_stride = s.dim,
               .rows = hidden,
               .steps = s.rows,
               .columns = s.dim,
               .accumulate = true});
}

// grad_x: (rows, dim) (+)= z W
template <class T, template <class> class Arrays>
void score_row_grads(const Arrays<T>& s, int64_t hidden, bool accumulate) {
  multiply<T>({.a = s.projected,
               .a_row = s.hidden,
               .a_step = 1,
               .b = s.weight,
               .b_stride = s.dim,
               .c = s.grad_x,
               .c_stride = s.dim,
               .rows = s.rows,
               .steps = hidden,
               .columns = s.dim,
               .accumulate = accumulate});
}

}  // namespace pyrec::PYREC_ISA
