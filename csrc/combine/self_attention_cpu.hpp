#pragma once
// Multi-head self-attention, averaged over its queries. Per head h:
//
//   S_qk = Q_q . K_k / sqrt(d_h)     A = softmax_k(S)     a_k = the mean over the queries of A_qk
//   y = sum_k a_k x_k                E = y W_v (columns of h)
//
// and backward
//
//   dW_v += y^T g        dy = g W_v^T        da_k = <dy, x_k>
//   dA_qk = da_k / number of queries         dS_qk = A_qk (dA_qk - sum_m A_qm dA_qm)
//   dQ_q = sum_k dS_qk K_k / sqrt(d_h)       dK_k = sum_q dS_qk Q_q / sqrt(d_h)
//   dW_q += X^T dQ       dW_k += X^T dK      dx_k = sum_h a_k dy + dQ_k W_q^T + dK_k W_k^T
#include "combine/block_cpu.hpp"

namespace pyrec::PYREC_ISA {

// The columns of one head.
struct head_columns {
  int64_t first;
  int64_t count;
};

PYREC_INLINE head_columns columns_of(int64_t head, int64_t num_heads, int64_t dim) {
  return {head * (dim / num_heads), dim / num_heads};
}

template <class T>
PYREC_INLINE T score_scale(const head_columns& columns) {
  return static_cast<T>(1 / __builtin_sqrt(static_cast<double>(columns.count)));
}

// to: (dim, P) = the transpose of x times a parameter (dim, dim)
template <class T>
void project_lanes(const self_attention_scratch<T>& s, int64_t dim, const T* parameter, T* to) {
  multiply<T>({.a = parameter,
               .a_row = 1,
               .a_step = dim,
               .b = s.x_t,
               .b_stride = s.rows,
               .c = to,
               .c_stride = s.rows,
               .rows = dim,
               .steps = dim,
               .columns = s.rows,
               .accumulate = false});
}

// x, x_t, mask, query and key of a block; share: (B,) 1 / the number of its queries, 0 without any.
template <class T>
void read_self_attention(const combine_input<T>& input, const self_attention_weights<T>& given,
                         const node_block& block, const self_attention_scratch<T>& s) {
  read_layers(input, block, s.x, s.dim);
  read_mask(input, block, s.mask);
  for (int64_t n = 0; n < s.nodes; ++n) {
    T queries = 0;
    for (int64_t l = 0; l < input.num_layers; ++l) queries += s.mask[l * s.nodes + n];
    s.share[n] = queries > 0 ? 1 / queries : T(0);
  }
  transpose(s.x, s.dim, s.rows, s.dim, s.x_t, s.rows);
  project_lanes(s, input.dim, given.query, s.query);
  project_lanes(s, input.dim, given.key, s.key);
}

// weights of query q: (L, B) = its scaled products with keys [k, k + Keys), nodes in lanes.
template <int Keys, class T>
PYREC_INLINE void score_keys(const self_attention_scratch<T>& s, const head_columns& columns, int64_t q,
                             int64_t k) {
  constexpr int width = simd<T>::width;
  T* scores = s.weights + q * s.rows + k * s.nodes;
  const T* query = s.query + columns.first * s.rows + q * s.nodes;
  const T* key = s.key + columns.first * s.rows + k * s.nodes;
  for (int64_t n = 0; n < s.nodes; n += width) {
    vec<T> sums[Keys] = {};
    for (int64_t c = 0; c < columns.count; ++c) {
      const vec<T> left = load(query + c * s.rows + n);
      for (int i = 0; i < Keys; ++i)
        sums[i] = multiply_add(left, load(key + c * s.rows + i * s.nodes + n), sums[i]);
    }
    for (int i = 0; i < Keys; ++i) {
      store(scores + i * s.nodes + n, sums[i] * broadcast(score_scale<T>(columns)));
    }
  }
}

// weights: (L, L, B) = A; mean: (L, B) = a
template <class T>
void head_weights(const self_attention_scratch<T>& s, int64_t num_layers, const head_columns& columns) {
  constexpr int width = simd<T>::width;
  T* mean = s.mean;
  fill_zero(mean, s.rows);
  for (int64_t q = 0; q < num_layers; ++q) {
    T* weights = s.weights + q * s.rows;
    int64_t k = 0;
    for (; k + 4 <= num_layers; k += 4) score_keys<4>(s, columns, q, k);
    for (; k < num_layers; ++k) score_keys<1>(s, columns, q, k);
    softmax_lanes(weights, s.mask, num_layers, s.nodes);
    for (int64_t n = 0; n < s.nodes; n += width) {
      const vec<T> share = load(s.share + n) * load(s.mask + q * s.nodes + n);
      for (int64_t i = n; i < s.rows; i += s.nodes)
        store(mean + i, multiply_add(share, load(weights + i), load(mean + i)));
    }
  }
}

// out_t: rows of the head (columns, B) = W_v^T y^T, with y^T: (dim, B)
template <class T>
void head_output(const combine_self_attention_args<T>& a, const head_columns& columns,
                 const self_attention_scratch<T>& s) {
  constexpr int width = simd<T>::width;
  for (int64_t j = 0; j < a.input.dim; ++j) {
    for (int64_t n = 0; n < s.nodes; n += width) {
      vec<T> sum{};
      for (int64_t i = n; i < s.rows; i += s.nodes) {
        sum = multiply_add(load(s.mean + i), load(s.x_t + j * s.rows + i), sum);
      }
      store(s.pooled_t + j * s.nodes + n, sum);
    }
  }
  multiply<T>({.a = a.attention.value + columns.first,
               .a_row = 1,
               .a_step = a.input.dim,
               .b = s.pooled_t,
               .b_stride = s.nodes,
               .c = s.out_t + columns.first * s.nodes,
               .c_stride = s.nodes,
               .rows = columns.count,
               .steps = a.input.dim,
               .columns = s.nodes,
               .accumulate = false});
}

template <class T>
void self_attention_block(const combine_self_attention_args<T>& a, const node_block& block,
                          const self_attention_scratch<T>& s) {
  read_self_attention(a.input, a.attention, block, s);
  T* alpha = s.alpha;
  fill_zero(alpha, s.rows);
  const int64_t num_heads = a.attention.num_heads;
  for (int64_t h = 0; h < num_heads; ++h) {
    const head_columns columns = columns_of(h, num_heads, a.input.dim);
    head_weights(s, a.input.num_layers, columns);
    head_output(a, columns, s);
    for (int64_t i = 0; i < s.rows; ++i) alpha[i] += s.mean[i] / static_cast<T>(num_heads);
  }
  write_lanes(alpha, a.input.num_layers, block, a.alpha);
  T* out = s.x;  // its rows have served
  transpose(s.out_t, s.nodes, s.dim, s.nodes, out, s.dim);
  write_pooled(out, block, a.input.dim, s.dim, a.out);
}

template <class T>
void combine_self_attention(const combine_self_attention_args<T>& a) {
  const self_attention_scratch<T> layout(a.input.num_rows, a.input.num_layers, a.input.dim, false);
  for_blocks(a.input.num_rows, layout.nodes, a.num_workers, [&](const node_block& block, int worker) {
    self_attention_block(a, block, layout.at(a.scratch, 0, worker));
  });
}

// grad_mean: (L, B) = da / number of queries; the stripe's dW_v and the block's dx grow.
template <class T>
void head_value_grads(const combine_self_attention_grad_args<T>& a, const node_block& block, int64_t head,
                      const self_attention_scratch<T>& s) {
  const int64_t num_layers = a.input.num_layers, num_heads = a.attention.num_heads;
  const head_columns columns = columns_of(head, num_heads, a.input.dim);
  const T* grad = s.grad + columns.first;
  if (a.grad_value != nullptr) {
    pool_rows(s.x, s.mean, num_layers, s.nodes, s.dim, s.pooled);
    multiply<T>({.a = grad,
                 .a_row = 1,
                 .a_step = s.dim,
                 .b = s.pooled,
                 .b_stride = s.dim,
                 .c = s.grad_value_t + columns.first * s.dim,
                 .c_stride = s.dim,
                 .rows = columns.count,
                 .steps = s.nodes,
                 .columns = s.dim,
                 .accumulate = true});
  }
  multiply<T>({.a = grad,
               .a_row = s.dim,
               .a_step = 1,
               .b = s.value_t + columns.first * s.dim,
               .b_stride = s.dim,
               .c = s.grad_pooled,
               .c_stride = s.dim,
               .rows = s.nodes,
               .steps = columns.count,
               .columns = s.dim,
               .accumulate = false});
  T* grad_mean = s.grad_mean;
  dot_rows(s.x, s.grad_pooled, num_layers, s.nodes, s.dim, grad_mean);
  if (a.grad_of_alpha != nullptr) {
    add_lanes(a.grad_of_alpha, num_layers, block, 1 / static_cast<T>(num_heads), grad_mean);
  }
  for (int64_t i = 0; i < s.rows; ++i) grad_mean[i] *= s.share[i % s.nodes];
  spread_rows(s.grad_pooled, s.mean, num_layers, s.nodes, s.dim, head > 0, s.grad_x);
}

// weights: (L, L, B) become dS / sqrt(d_h)
template <class T>
void head_score_grads(const self_attention_scratch<T>& s, int64_t num_layers, const head_columns& columns) {
  constexpr int width = simd<T>::width;
  const T* grad_mean = s.grad_mean;
  for (int64_t q = 0; q < num_layers; ++q) {
    T* weights = s.weights + q * s.rows;
    for (int64_t n = 0; n < s.nodes; n += width) {
      const vec<T> factor = load(s.mask + q * s.nodes + n) * broadcast(score_scale<T>(columns));
      vec<T> mean{};
      for (int64_t i = n; i < s.rows; i += s.nodes) {
        mean = multiply_add(load(weights + i), load(grad_mean + i), mean);
      }
      for (int64_t i = n; i < s.rows; i += s.nodes) {
        store(weights + i, factor * load(weights + i) * (load(grad_mean + i) - mean));
      }
    }
  }
}

// One column c of the head: dQ_q = sum_k weights[q][k] K_k, dK_k = sum_q weights[q][k] Q_q, nodes in lanes.
template <class T>
PYREC_INLINE void column_score_grads(const self_attention_scratch<T>& s, int64_t num_layers, int64_t c) {
  constexpr int width = simd<T>::width;
  const T* query = s.query + c * s.rows;
  const T* key = s.key + c * s.rows;
  T* grad_query = s.x_t + c * s.rows;
  T* grad_key = s.grad_key + c * s.rows;
  for (int64_t n = 0; n < s.nodes; n += width) {
    for (int64_t l = 0; l < num_layers; ++l) {
      vec<T> by_query{};
      vec<T> by_key{};
      for (int64_t m = 0; m < num_layers; ++m) {
        const int64_t lane = m * s.nodes + n;
        by_query = multiply_add(load(s.weights + l * s.rows + lane), load(key + lane), by_query);
        by_key = multiply_add(load(s.weights + m * s.rows + l * s.nodes + n), load(query + lane), by_key);
      }
      store(grad_query + l * s.nodes + n, by_query);
      store(grad_key + l * s.nodes + n, by_key);
    }
  }
}

// From the lanes (dim, P) of dQ or dK: the stripe's sum grows by them times x, the block's dx by them times the
// parameter's transpose.
template <class T>
void projection_grads(const combine_self_attention_grad_args<T>& a, const self_attention_scratch<T>& s,
                      const T* lanes, const T* parameter_t, T* sum) {
  if (a.grad_query != nullptr) {
    multiply<T>({.a = lanes,
                 .a_row = s.rows,
                 .a_step = 1,
                 .b = s.x,
                 .b_stride = s.dim,
                 .c = sum,
                 .c_stride = s.dim,
                 .rows = a.input.dim,
                 .steps = s.rows,
                 .columns = s.dim,
                 .accumulate = true});
  }
  if (a.grad_layers == nullptr) return;
  multiply<T>({.a = lanes,
               .a_row = 1,
               .a_step = s.rows,
               .b = parameter_t,
               .b_stride = s.dim,
               .c = s.grad_x,
               .c_stride = s.dim,
               .rows = s.rows,
               .steps = a.input.dim,
               .columns = s.dim,
               .accumulate = true});
}

template <class T>
void self_attention_grad_block(const combine_self_attention_grad_args<T>& a, const node_block& block,
                               const self_attention_scratch<T>& s) {
  const int64_t num_layers = a.input.num_layers;
  read_self_attention(a.input, a.attention, block, s);
  read_rows(a.grad, a.input.dim, a.input.dim, block, s.grad, s.dim);
  for (int64_t h = 0; h < a.attention.num_heads; ++h) {
    const head_columns columns = columns_of(h, a.attention.num_heads, a.input.dim);
    head_weights(s, num_layers, columns);
    head_value_grads(a, block, h, s);
    head_score_grads(s, num_layers, columns);
    for (int64_t c = 0; c < columns.count; ++c) column_score_grads(s, num_layers, columns.first + c);
  }
  projection_grads(a, s, s.x_t, s.query_t, s.grad_query_t);
  projection_grads(a, s, s.grad_key, s.key_t, s.grad_key_t);
  if (a.grad_layers != nullptr) write_layers(a.input, block, s.grad_x, s.dim, a.grad_layers);
}

template <class T>
void combine_self_attention_grad(const combine_self_attention_grad_args<T>& a) {
  const int64_t dim = a.input.dim;
  const self_attention_scratch<T> layout(a.input.num_rows, a.input.num_layers, dim, true);
  const self_attention_scratch<T> first = layout.at(a.scratch, 0, 0);
  pack(a.attention.query, 1, dim, dim, dim, first.query_t, layout.dim);
  pack(a.attention.key, 1, dim, dim, dim, first.key_t, layout.dim);
  pack(a.attention.value, 1, dim, dim, dim, first.value_t, layout.dim);
  for_stripes(layout, a.input.num_rows, a.num_workers, a.scratch,
              [&](const node_block& block, const self_attention_scratch<T>& s) {
                self_attention_grad_block(a, block, s);
              });
  if (a.grad_query == nullptr) return;
  add_stripes(layout.regions, first.grad_query_t, dim, dim, layout.dim, a.grad_query, 1, dim);
  add_stripes(layout.regions, first.grad_key_t, dim, dim, layout.dim, a.grad_key, 1, dim);
  add_stripes(layout.regions, first.grad_value_t, dim, dim, layout.dim, a.grad_value, 1, dim);
}

}  // namespace pyrec::PYREC_ISA
