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
void project_lanes(const self_attention_layout& at, int64_t dim, const T* parameter, const T* x_t, T* to) {
  multiply<T>({.a = parameter,
               .a_row = 1,
               .a_step = dim,
               .b = x_t,
               .b_stride = at.rows,
               .c = to,
               .c_stride = at.rows,
               .rows = dim,
               .steps = dim,
               .columns = at.rows,
               .accumulate = false});
}

// x, x_t, mask, query and key of a block; share: (B,) 1 / the number of its queries, 0 without any.
template <class T>
void read_self_attention(const combine_input<T>& input, const self_attention_layout& at, const T* query,
                         const T* key, const node_block& block, T* worker) {
  read_layers(input, block, worker + at.x, at.dim);
  read_mask(input, block, worker + at.mask);
  for (int64_t n = 0; n < at.nodes; ++n) {
    T queries = 0;
    for (int64_t l = 0; l < input.num_layers; ++l) queries += worker[at.mask + l * at.nodes + n];
    worker[at.share + n] = queries > 0 ? 1 / queries : T(0);
  }
  transpose(worker + at.x, at.dim, at.rows, at.dim, worker + at.x_t, at.rows);
  project_lanes(at, input.dim, query, worker + at.x_t, worker + at.query);
  project_lanes(at, input.dim, key, worker + at.x_t, worker + at.key);
}

// weights of query q: (L, B) = its scaled products with keys [k, k + Keys), nodes in lanes.
template <int Keys, class T>
PYREC_INLINE void score_keys(const self_attention_layout& at, const head_columns& columns, int64_t q,
                             int64_t k, T* worker) {
  constexpr int width = simd<T>::width;
  T* scores = worker + at.weights + q * at.rows + k * at.nodes;
  const T* query = worker + at.query + columns.first * at.rows + q * at.nodes;
  const T* key = worker + at.key + columns.first * at.rows + k * at.nodes;
  for (int64_t n = 0; n < at.nodes; n += width) {
    vec<T> sums[Keys] = {};
    for (int64_t c = 0; c < columns.count; ++c) {
      const vec<T> left = load(query + c * at.rows + n);
      for (int i = 0; i < Keys; ++i)
        sums[i] = multiply_add(left, load(key + c * at.rows + i * at.nodes + n), sums[i]);
    }
    for (int i = 0; i < Keys; ++i) {
      store(scores + i * at.nodes + n, sums[i] * broadcast(score_scale<T>(columns)));
    }
  }
}

// weights: (L, L, B) = A; mean: (L, B) = a
template <class T>
void head_weights(const self_attention_layout& at, int64_t num_layers, const head_columns& columns,
                  T* worker) {
  constexpr int width = simd<T>::width;
  T* mean = worker + at.mean;
  fill_zero(mean, at.rows);
  for (int64_t q = 0; q < num_layers; ++q) {
    T* weights = worker + at.weights + q * at.rows;
    int64_t k = 0;
    for (; k + 4 <= num_layers; k += 4) score_keys<4>(at, columns, q, k, worker);
    for (; k < num_layers; ++k) score_keys<1>(at, columns, q, k, worker);
    softmax_lanes(weights, worker + at.mask, num_layers, at.nodes);
    for (int64_t n = 0; n < at.nodes; n += width) {
      const vec<T> share = load(worker + at.share + n) * load(worker + at.mask + q * at.nodes + n);
      for (int64_t i = n; i < at.rows; i += at.nodes)
        store(mean + i, multiply_add(share, load(weights + i), load(mean + i)));
    }
  }
}

// out_t: rows of the head (columns, B) = W_v^T y^T, with y^T: (dim, B)
template <class T>
void head_output(const combine_self_attention_args<T>& a, const self_attention_layout& at,
                 const head_columns& columns, T* worker) {
  constexpr int width = simd<T>::width;
  for (int64_t j = 0; j < a.input.dim; ++j) {
    for (int64_t n = 0; n < at.nodes; n += width) {
      vec<T> sum{};
      for (int64_t i = n; i < at.rows; i += at.nodes) {
        sum = multiply_add(load(worker + at.mean + i), load(worker + at.x_t + j * at.rows + i), sum);
      }
      store(worker + at.pooled_t + j * at.nodes + n, sum);
    }
  }
  multiply<T>({.a = a.value + columns.first,
               .a_row = 1,
               .a_step = a.input.dim,
               .b = worker + at.pooled_t,
               .b_stride = at.nodes,
               .c = worker + at.out_t + columns.first * at.nodes,
               .c_stride = at.nodes,
               .rows = columns.count,
               .steps = a.input.dim,
               .columns = at.nodes,
               .accumulate = false});
}

template <class T>
void self_attention_block(const combine_self_attention_args<T>& a, const self_attention_layout& at,
                          const node_block& block, T* worker) {
  read_self_attention(a.input, at, a.query, a.key, block, worker);
  T* alpha = worker + at.alpha;
  fill_zero(alpha, at.rows);
  for (int64_t h = 0; h < a.num_heads; ++h) {
    const head_columns columns = columns_of(h, a.num_heads, a.input.dim);
    head_weights(at, a.input.num_layers, columns, worker);
    head_output(a, at, columns, worker);
    for (int64_t i = 0; i < at.rows; ++i) alpha[i] += worker[at.mean + i] / static_cast<T>(a.num_heads);
  }
  write_lanes(alpha, a.input.num_layers, block, a.alpha);
  T* out = worker + at.x;  // its rows have served
  transpose(worker + at.out_t, at.nodes, at.dim, at.nodes, out, at.dim);
  write_pooled(out, block, a.input.dim, at.dim, a.out);
}

template <class T>
void combine_self_attention(const combine_self_attention_args<T>& a) {
  const self_attention_layout at =
      make_self_attention_layout(a.input.num_rows, a.input.num_layers, a.input.dim, false);
  for_blocks(a.input.num_rows, at.nodes, a.num_workers, [&](const node_block& block, int worker) {
    self_attention_block(a, at, block, a.scratch + at.parts.worker_at(worker));
  });
}

// grad_mean: (L, B) = da / number of queries; the slot's dW_v and the block's dx grow.
template <class T>
void head_value_grads(const combine_self_attention_grad_args<T>& a, const self_attention_layout& at,
                      const node_block& block, int64_t head, T* slot, T* worker) {
  const int64_t num_layers = a.input.num_layers;
  const head_columns columns = columns_of(head, a.num_heads, a.input.dim);
  const T* grad = worker + at.grad + columns.first;
  if (a.grad_value != nullptr) {
    pool_rows(worker + at.x, worker + at.mean, num_layers, at.nodes, at.dim, worker + at.pooled);
    multiply<T>({.a = grad,
                 .a_row = 1,
                 .a_step = at.dim,
                 .b = worker + at.pooled,
                 .b_stride = at.dim,
                 .c = slot + at.grad_value_t + columns.first * at.dim,
                 .c_stride = at.dim,
                 .rows = columns.count,
                 .steps = at.nodes,
                 .columns = at.dim,
                 .accumulate = true});
  }
  multiply<T>({.a = grad,
               .a_row = at.dim,
               .a_step = 1,
               .b = a.scratch + at.value_t + columns.first * at.dim,
               .b_stride = at.dim,
               .c = worker + at.grad_pooled,
               .c_stride = at.dim,
               .rows = at.nodes,
               .steps = columns.count,
               .columns = at.dim,
               .accumulate = false});
  T* grad_mean = worker + at.grad_mean;
  dot_rows(worker + at.x, worker + at.grad_pooled, num_layers, at.nodes, at.dim, grad_mean);
  if (a.grad_of_alpha != nullptr) {
    add_lanes(a.grad_of_alpha, num_layers, block, 1 / static_cast<T>(a.num_heads), grad_mean);
  }
  for (int64_t i = 0; i < at.rows; ++i) grad_mean[i] *= worker[at.share + i % at.nodes];
  spread_rows(worker + at.grad_pooled, worker + at.mean, num_layers, at.nodes, at.dim, head > 0,
              worker + at.grad_x);
}

// weights: (L, L, B) become dS / sqrt(d_h)
template <class T>
void head_score_grads(const self_attention_layout& at, int64_t num_layers, const head_columns& columns,
                      T* worker) {
  constexpr int width = simd<T>::width;
  const T* grad_mean = worker + at.grad_mean;
  for (int64_t q = 0; q < num_layers; ++q) {
    T* weights = worker + at.weights + q * at.rows;
    for (int64_t n = 0; n < at.nodes; n += width) {
      const vec<T> factor = load(worker + at.mask + q * at.nodes + n) * broadcast(score_scale<T>(columns));
      vec<T> mean{};
      for (int64_t i = n; i < at.rows; i += at.nodes) {
        mean = multiply_add(load(weights + i), load(grad_mean + i), mean);
      }
      for (int64_t i = n; i < at.rows; i += at.nodes) {
        store(weights + i, factor * load(weights + i) * (load(grad_mean + i) - mean));
      }
    }
  }
}

// One column c of the head: dQ_q = sum_k weights[q][k] K_k, dK_k = sum_q weights[q][k] Q_q, nodes in lanes.
template <class T>
PYREC_INLINE void column_score_grads(const self_attention_layout& at, int64_t num_layers, int64_t c,
                                     T* worker) {
  constexpr int width = simd<T>::width;
  const T* query = worker + at.query + c * at.rows;
  const T* key = worker + at.key + c * at.rows;
  T* grad_query = worker + at.x_t + c * at.rows;
  T* grad_key = worker + at.grad_key + c * at.rows;
  for (int64_t n = 0; n < at.nodes; n += width) {
    for (int64_t l = 0; l < num_layers; ++l) {
      vec<T> by_query{};
      vec<T> by_key{};
      for (int64_t m = 0; m < num_layers; ++m) {
        const int64_t lane = m * at.nodes + n;
        by_query = multiply_add(load(worker + at.weights + l * at.rows + lane), load(key + lane), by_query);
        by_key = multiply_add(load(worker + at.weights + m * at.rows + l * at.nodes + n), load(query + lane),
                              by_key);
      }
      store(grad_query + l * at.nodes + n, by_query);
      store(grad_key + l * at.nodes + n, by_key);
    }
  }
}

// From the lanes (dim, P) of dQ or dK: the slot's sum grows by them times x, the block's dx by them times the
// parameter's transpose.
template <class T>
void projection_grads(const combine_self_attention_grad_args<T>& a, const self_attention_layout& at,
                      const T* lanes, const T* parameter_t, T* sum, T* worker) {
  if (a.grad_query != nullptr) {
    multiply<T>({.a = lanes,
                 .a_row = at.rows,
                 .a_step = 1,
                 .b = worker + at.x,
                 .b_stride = at.dim,
                 .c = sum,
                 .c_stride = at.dim,
                 .rows = a.input.dim,
                 .steps = at.rows,
                 .columns = at.dim,
                 .accumulate = true});
  }
  if (a.grad_layers == nullptr) return;
  multiply<T>({.a = lanes,
               .a_row = 1,
               .a_step = at.rows,
               .b = parameter_t,
               .b_stride = at.dim,
               .c = worker + at.grad_x,
               .c_stride = at.dim,
               .rows = at.rows,
               .steps = a.input.dim,
               .columns = at.dim,
               .accumulate = true});
}

template <class T>
void self_attention_grad_block(const combine_self_attention_grad_args<T>& a, const self_attention_layout& at,
                               const node_block& block, T* slot, T* worker) {
  const int64_t num_layers = a.input.num_layers;
  read_self_attention(a.input, at, a.query, a.key, block, worker);
  read_rows(a.grad, a.input.dim, a.input.dim, block, worker + at.grad, at.dim);
  for (int64_t h = 0; h < a.num_heads; ++h) {
    const head_columns columns = columns_of(h, a.num_heads, a.input.dim);
    head_weights(at, num_layers, columns, worker);
    head_value_grads(a, at, block, h, slot, worker);
    head_score_grads(at, num_layers, columns, worker);
    for (int64_t c = 0; c < columns.count; ++c) column_score_grads(at, num_layers, columns.first + c, worker);
  }
  projection_grads(a, at, worker + at.x_t, a.scratch + at.query_t, slot + at.grad_query_t, worker);
  projection_grads(a, at, worker + at.grad_key, a.scratch + at.key_t, slot + at.grad_key_t, worker);
  if (a.grad_layers != nullptr) write_layers(a.input, block, worker + at.grad_x, at.dim, a.grad_layers);
}

template <class T>
void combine_self_attention_grad(const combine_self_attention_grad_args<T>& a) {
  const int64_t dim = a.input.dim;
  const self_attention_layout at =
      make_self_attention_layout(a.input.num_rows, a.input.num_layers, dim, true);
  pack(a.query, 1, dim, dim, dim, a.scratch + at.query_t, at.dim);
  pack(a.key, 1, dim, dim, dim, a.scratch + at.key_t, at.dim);
  pack(a.value, 1, dim, dim, dim, a.scratch + at.value_t, at.dim);
  for_slots(at.parts, a.input.num_rows, at.nodes, a.num_workers, a.scratch,
            [&](const node_block& block, T* slot, T* worker) {
              self_attention_grad_block(a, at, block, slot, worker);
            });
  if (a.grad_query == nullptr) return;
  const T* slots = a.scratch + at.parts.shared;
  reduce_slots(at.parts, slots + at.grad_query_t, dim, dim, at.dim, a.grad_query, 1, dim);
  reduce_slots(at.parts, slots + at.grad_key_t, dim, dim, at.dim, a.grad_key, 1, dim);
  reduce_slots(at.parts, slots + at.grad_value_t, dim, dim, at.dim, a.grad_value, 1, dim);
}

}  // namespace pyrec::PYREC_ISA
