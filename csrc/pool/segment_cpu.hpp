#pragma once
// Softmax over the slots of a segment, sums of its rows, and their gradients.
#include "combine/block_cpu.hpp"
#include "isa/rows.hpp"
#include "pool/scratch_cpu.hpp"

namespace pyrec::PYREC_ISA {

// Slots [begin, end).
struct slot_range {
  int64_t begin;
  int64_t end;
};

template <class T>
PYREC_INLINE slot_range slots_of(const pool_input<T>& in, int64_t segment) {
  return {in.indptr[segment], in.indptr[segment + 1]};
}

template <class T>
PYREC_INLINE int64_t row_of_slot(const pool_input<T>& in, int64_t slot) {
  return in.index == nullptr ? slot : in.index[slot];
}

template <class T>
PYREC_INLINE const T* x_of_slot(const pool_input<T>& in, int64_t slot) {
  return in.x + row_of_slot(in, slot) * in.dim;
}

// The rows of some slots, one below the other.
template <class T>
struct row_block {
  const T* rows;
  int64_t stride;
};

// In place where they lie so; `whole`: to whole vectors, zeros past dim.
template <class T>
row_block<T> rows_of_slots(const pool_input<T>& in, int64_t first, int64_t count, bool whole,
                           const pool_scratch<T>& s) {
  if (in.index == nullptr && (!whole || in.dim == s.dim)) return {in.x + first * in.dim, in.dim};
  for (int64_t i = 0; i < count; ++i) read_row(x_of_slot(in, first + i), in.dim, s.x + i * s.dim, s.dim);
  return {s.x, s.dim};
}

// values: (count,) become their softmax.
template <class T>
void softmax_run(T* values, int64_t count) {
  T most = values[0];
  for (int64_t i = 1; i < count; ++i) most = most < values[i] ? values[i] : most;
  for_vectors<T>(count, [&](int64_t i, const auto& read, const auto& write) {
    write(values + i, exp_negative<T>(read(values + i) - most));
  });
  T sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += values[i];
  const T inverse = 1 / sum;
  for (int64_t i = 0; i < count; ++i) values[i] *= inverse;
}

// values: (count, heads), each head's become their softmax.
template <class T>
void softmax_columns(T* values, int64_t count, int64_t heads) {
  for_vectors<T>(heads, [&](int64_t k, const auto& read, const auto& write) {
    vec<T> most = read(values + k);
    for (int64_t i = 1; i < count; ++i) {
      const vec<T> value = read(values + i * heads + k);
      most = most < value ? value : most;
    }
    vec<T> sum{};
    for (int64_t i = 0; i < count; ++i) {
      const vec<T> power = exp_negative<T>(read(values + i * heads + k) - most);
      write(values + i * heads + k, power);
      sum += power;
    }
    const vec<T> inverse = 1 / sum;
    for (int64_t i = 0; i < count; ++i) {
      write(values + i * heads + k, read(values + i * heads + k) * inverse);
    }
  });
}

// grads: (count, heads) of softmax's weights become those of its scores: w_i (g_i - sum_j w_j g_j).
template <class T>
void softmax_columns_backward(const T* weights, T* grads, int64_t count, int64_t heads) {
  for_vectors<T>(heads, [&](int64_t k, const auto& read, const auto& write) {
    vec<T> mean{};
    for (int64_t i = 0; i < count; ++i) {
      mean = multiply_add(read(weights + i * heads + k), read(grads + i * heads + k), mean);
    }
    for (int64_t i = 0; i < count; ++i) {
      T* grad = grads + i * heads + k;
      write(grad, read(weights + i * heads + k) * (read(grad) - mean));
    }
  });
}

// Columns [column, column + Vectors * width) of out = sum_i alpha_i x_i.
template <int Vectors, class T>
PYREC_INLINE void sum_columns(const pool_input<T>& in, const slot_range& at, const T* alpha, int64_t column,
                              T* out) {
  constexpr int width = simd<T>::width;
  vec<T> sum[Vectors] = {};
  for (int64_t i = at.begin; i < at.end; ++i) {
    const T* x = x_of_slot(in, i) + column;
    const vec<T> weight = broadcast(alpha[i]);
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[v] = multiply_add(weight, load(x + v * width), sum[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) store(out + column + v * width, sum[v]);
}

// With one head; alpha: (num_slots,), out: (dim,).
template <class T>
void sum_rows(const pool_input<T>& in, const slot_range& at, const T* alpha, T* out) {
  constexpr int width = simd<T>::width;
  int64_t j = 0;
  for (; j + 8 * width <= in.dim; j += 8 * width) sum_columns<8>(in, at, alpha, j, out);
  for (; j + width <= in.dim; j += width) sum_columns<1>(in, at, alpha, j, out);
  for (; j < in.dim; ++j) {
    T sum = 0;
    for (int64_t i = at.begin; i < at.end; ++i) sum = multiply_add(alpha[i], x_of_slot(in, i)[j], sum);
    out[j] = sum;
  }
}

// With several heads; alpha: (num_slots, heads), out: (heads, dim).
template <class T>
void sum_rows_by_head(const pool_input<T>& in, const slot_range& at, const T* alpha, T* out,
                      const pool_scratch<T>& s) {
  const int64_t num_heads = in.attention.heads;
  for (int64_t first = at.begin; first < at.end; first += pool_block_rows) {
    const int64_t count = at.end - first < pool_block_rows ? at.end - first : pool_block_rows;
    const row_block<T> x = rows_of_slots(in, first, count, true, s);
    multiply<T>({.a = alpha + first * num_heads,
                 .a_row = 1,
                 .a_step = num_heads,
                 .b = x.rows,
                 .b_stride = x.stride,
                 .c = s.pooled,
                 .c_stride = s.dim,
                 .rows = num_heads,
                 .steps = count,
                 .columns = s.dim,
                 .accumulate = first > at.begin});
  }
  for (int64_t k = 0; k < num_heads; ++k) write_row(s.pooled + k * s.dim, out + k * in.dim, in.dim);
}

// grads: (num_slots,) = <g, x_i>
template <class T>
void dot_rows(const pool_input<T>& in, const slot_range& at, const T* g, T* grads) {
  constexpr int width = simd<T>::width;
  for (int64_t first = at.begin; first < at.end; first += width) {
    const int count = at.end - first < width ? static_cast<int>(at.end - first) : width;
    const T* x[width];
    for (int i = 0; i < width; ++i) x[i] = x_of_slot(in, first + (i < count ? i : count - 1));
    vec<T> sums[width] = {};
    for_vectors<T>(in.dim, [&](int64_t j, const auto& read, const auto&) {
      const vec<T> right = read(g + j);
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) sums[i] = multiply_add(read(x[i] + j), right, sums[i]);
    });
    store_partial(grads + first, sum_lanes<T>(sums), count);
  }
}

// grads: (num_slots, heads) = <g_k, x_i>, for g (heads, dim).
template <class T>
void dot_rows_by_head(const pool_input<T>& in, const slot_range& at, const T* g, T* grads,
                      const pool_scratch<T>& s) {
  const int64_t num_heads = in.attention.heads;
  for (int64_t k = 0; k < s.heads; ++k) {
    read_row(g + (k < num_heads ? k : 0) * in.dim, k < num_heads ? in.dim : 0, s.pooled + k * s.dim, s.dim);
  }
  transpose(s.pooled, s.dim, s.heads, s.dim, s.grad_t, s.heads);
  for (int64_t first = at.begin; first < at.end; first += pool_block_rows) {
    const int64_t count = at.end - first < pool_block_rows ? at.end - first : pool_block_rows;
    const row_block<T> x = rows_of_slots(in, first, count, false, s);
    multiply<T>({.a = x.rows,
                 .a_row = x.stride,
                 .a_step = 1,
                 .b = s.grad_t,
                 .b_stride = s.heads,
                 .c = s.grad_alpha,
                 .c_stride = s.heads,
                 .rows = count,
                 .steps = in.dim,
                 .columns = s.heads,
                 .accumulate = false});
    for (int64_t i = 0; i < count; ++i) {
      write_row(s.grad_alpha + i * s.heads, grads + (first + i) * num_heads, num_heads);
    }
  }
}

// alpha and out of a segment.
template <class T>
void pool_segment(const pool_args<T>& a, int64_t segment, const pool_scratch<T>& s) {
  const pool_input<T>& in = a.input;
  const int64_t num_heads = in.attention.heads;
  const slot_range at = slots_of(in, segment);
  T* out = a.out + segment * num_heads * in.dim;
  if (at.begin == at.end) return fill_zero(out, num_heads * in.dim);
  for (int64_t i = at.begin; i < at.end; ++i) {
    write_row(a.scores + row_of_slot(in, i) * num_heads, a.alpha + i * num_heads, num_heads);
  }
  T* own = a.alpha + at.begin * num_heads;
  const int64_t count = (at.end - at.begin) * num_heads;
  if (a.offset != nullptr) {
    for (int64_t j = 0; j < count; ++j) own[j] += a.offset[at.begin * num_heads + j];
  }
  if (num_heads == 1) {
    softmax_run(own, count);
    sum_rows(in, at, a.alpha, out);
  } else {
    softmax_columns(own, at.end - at.begin, num_heads);
    sum_rows_by_head(in, at, a.alpha, out, s);
  }
}

// ds of a segment's slots, and the segment of each.
template <class T>
void segment_grads(const pool_grad_args<T>& a, int64_t segment, const pool_scratch<T>& s) {
  const pool_input<T>& in = a.input;
  const int64_t num_heads = in.attention.heads;
  const slot_range at = slots_of(in, segment);
  if (at.begin == at.end) return;
  for (int64_t i = at.begin; i < at.end; ++i) s.segment[i] = static_cast<int32_t>(segment);
  const T* g = a.grad + segment * num_heads * in.dim;
  num_heads == 1 ? dot_rows(in, at, g, a.grad_offset) : dot_rows_by_head(in, at, g, a.grad_offset, s);
  const int64_t first = at.begin * num_heads;
  const int64_t last = at.end * num_heads;
  if (a.grad_of_alpha != nullptr) {
    for (int64_t j = first; j < last; ++j) a.grad_offset[j] += a.grad_of_alpha[j];
  }
  if (num_heads > 1) {
    return softmax_columns_backward(a.alpha + first, a.grad_offset + first, at.end - at.begin, num_heads);
  }
  T mean = 0;
  for (int64_t i = first; i < last; ++i) mean = multiply_add(a.alpha[i], a.grad_offset[i], mean);
  for (int64_t i = first; i < last; ++i) a.grad_offset[i] = a.alpha[i] * (a.grad_offset[i] - mean);
}

}  // namespace pyrec::PYREC_ISA
