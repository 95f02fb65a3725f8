#pragma once
// Additive attention. With r = 1, or 1 / ||x_l|| where rows are normalised, t = tanh(r W x_l + b),
// s_l = v . t + o_l and alpha = softmax_l(s):
//
//   dalpha_l = <g, x_l>         ds_l = alpha_l (dalpha_l - sum_m alpha_m dalpha_m)          do_l = ds_l
//   dv += ds_l t                z = ds_l v (1 - t^2)          db += z          dW += r z x_l^T
//   dx_l = alpha_l g + y        y = r W^T z, less its part along x_l, r^2 <x_l, y> x_l, where normalised
#include "combine/block_cpu.hpp"
#include "combine/layout.hpp"
#include "combine/normalise_cpu.hpp"

namespace pyrec::PYREC_ISA {

// Parameters padded for the products.
template <class T>
void pack_attention(const attention_layout& at, const T* weight, const T* bias, const T* vector, int64_t dim,
                    int64_t hidden, bool backward, T* scratch) {
  pack(weight, 1, dim, dim, hidden, scratch + at.weight_t, at.hidden);
  pack(bias, 0, 1, 1, hidden, scratch + at.bias, at.hidden);
  pack(vector, 0, 1, 1, hidden, scratch + at.vector, at.hidden);
  if (backward) pack(weight, dim, 1, hidden, dim, scratch + at.weight, at.dim);
}

// projected: (P, hidden) = r x W^T; inverse: (P,) = r where normalised.
template <class T>
void project_rows(const attention_layout& at, int64_t dim, bool normalise, const T* shared, T* worker) {
  multiply<T>({.a = worker + at.x,
               .a_row = at.dim,
               .a_step = 1,
               .b = shared + at.weight_t,
               .b_stride = at.hidden,
               .c = worker + at.projected,
               .c_stride = at.hidden,
               .rows = at.rows,
               .steps = dim,
               .columns = at.hidden,
               .accumulate = false});
  if (!normalise) return;
  inverse_lengths(worker + at.x, at.rows, at.dim, worker + at.inverse);
  scale_rows(worker + at.inverse, at.rows, at.hidden, worker + at.projected);
}

// scores: (L, B), s = v . tanh(projected + b)
template <class T>
void score_rows(const attention_layout& at, const T* shared, T* worker) {
  constexpr int width = simd<T>::width;
  for (int64_t row = 0; row < at.rows; row += width) {
    vec<T> sums[width] = {};
    for (int i = 0; i < width; ++i) {
      const T* projected = worker + at.projected + (row + i) * at.hidden;
      for (int64_t h = 0; h < at.hidden; h += width) {
        const vec<T> t = tanh<T>(load(projected + h) + load(shared + at.bias + h));
        sums[i] = multiply_add(load(shared + at.vector + h), t, sums[i]);
      }
    }
    store(worker + at.scores + row, sum_lanes<T>(sums));
  }
}

template <class T>
void attention_block(const combine_attention_args<T>& a, const attention_layout& at, const node_block& block,
                     T* worker) {
  T* alpha = worker + at.scores;
  read_layers(a.input, block, worker + at.x, at.dim);
  read_mask(a.input, block, worker + at.mask);
  project_rows(at, a.input.dim, a.normalise, a.scratch, worker);
  score_rows(at, a.scratch, worker);
  if (a.offset != nullptr) add_lanes(a.offset, a.input.num_layers, block, T(1), alpha);
  softmax_lanes(alpha, worker + at.mask, a.input.num_layers, at.nodes);
  write_lanes(alpha, a.input.num_layers, block, a.alpha);
  pool_rows(worker + at.x, alpha, a.input.num_layers, at.nodes, at.dim, worker + at.pooled);
  write_pooled(worker + at.pooled, block, a.input.dim, at.dim, a.out);
}

template <class T>
void combine_attention(const combine_attention_args<T>& a) {
  const attention_layout at =
      make_attention_layout(a.input.num_rows, a.input.num_layers, a.input.dim, a.hidden, false);
  pack_attention(at, a.weight, a.bias, a.vector, a.input.dim, a.hidden, false, a.scratch);
  for_blocks(a.input.num_rows, at.nodes, a.num_workers, [&](const node_block& block, int worker) {
    attention_block(a, at, block, a.scratch + at.parts.worker_at(worker));
  });
}

// scores: (L, B) = ds
template <class T>
void attention_score_grads(const combine_attention_grad_args<T>& a, const attention_layout& at,
                           const node_block& block, T* worker) {
  const int64_t num_layers = a.input.num_layers;
  T* grads = worker + at.scores;
  T* alpha = worker + at.alpha;
  read_lanes(a.alpha, num_layers, block, alpha);
  dot_rows(worker + at.x, worker + at.pooled, num_layers, at.nodes, at.dim, grads);
  if (a.grad_of_alpha != nullptr) add_lanes(a.grad_of_alpha, num_layers, block, T(1), grads);
  softmax_lanes_backward(alpha, grads, num_layers, at.nodes);
  if (a.grad_offset != nullptr) write_lanes(grads, num_layers, block, a.grad_offset);
}

// projected: (P, hidden) becomes z; the slot's db and dv grow.
template <class T>
void attention_hidden_grads(const attention_layout& at, const T* shared, T* slot, T* worker) {
  constexpr int width = simd<T>::width;
  for (int64_t h = 0; h < at.hidden; h += width) {
    const vec<T> bias = load(shared + at.bias + h);
    const vec<T> vector = load(shared + at.vector + h);
    vec<T> grad_bias{};
    vec<T> grad_vector{};
    for (int64_t row = 0; row < at.rows; ++row) {
      T* projected = worker + at.projected + row * at.hidden + h;
      const vec<T> grad = broadcast(worker[at.scores + row]);
      const vec<T> t = tanh<T>(load(projected) + bias);
      const vec<T> z = grad * vector * multiply_add(-t, t, broadcast(T(1)));
      grad_vector = multiply_add(grad, t, grad_vector);
      grad_bias += z;
      store(projected, z);
    }
    store(slot + at.grad_bias + h, load(slot + at.grad_bias + h) + grad_bias);
    store(slot + at.grad_vector + h, load(slot + at.grad_vector + h) + grad_vector);
  }
}

// The slot's dW grows by z^T x, for projected = z, or r z where normalised.
template <class T>
void attention_weight_grads(const attention_layout& at, int64_t hidden, T* slot, const T* worker) {
  multiply<T>({.a = worker + at.projected,
               .a_row = 1,
               .a_step = at.hidden,
               .b = worker + at.x,
               .b_stride = at.dim,
               .c = slot + at.grad_weight,
               .c_stride = at.dim,
               .rows = hidden,
               .steps = at.rows,
               .columns = at.dim,
               .accumulate = true});
}

// dx = alpha g + y, y = z W less its part along x where normalised: alpha g comes first where y may be added
// to it, and last where y has to be complete before.
template <class T>
void attention_layer_grads(const combine_attention_grad_args<T>& a, const attention_layout& at,
                           const node_block& block, T* worker) {
  const auto spread_grad = [&] {
    spread_rows(worker + at.pooled, worker + at.alpha, a.input.num_layers, at.nodes, at.dim, a.normalise,
                worker + at.grad_x);
  };
  if (!a.normalise) spread_grad();
  multiply<T>({.a = worker + at.projected,
               .a_row = at.hidden,
               .a_step = 1,
               .b = a.scratch + at.weight,
               .b_stride = at.dim,
               .c = worker + at.grad_x,
               .c_stride = at.dim,
               .rows = at.rows,
               .steps = a.hidden,
               .columns = at.dim,
               .accumulate = !a.normalise});
  if (a.normalise) {
    keep_across_rows(worker + at.x, worker + at.inverse, at.rows, at.dim, worker + at.grad_x);
    spread_grad();
  }
  write_layers(a.input, block, worker + at.grad_x, at.dim, a.grad_layers);
}

template <class T>
void attention_grad_block(const combine_attention_grad_args<T>& a, const attention_layout& at,
                          const node_block& block, T* slot, T* worker) {
  read_layers(a.input, block, worker + at.x, at.dim);
  read_rows(a.grad, a.input.dim, a.input.dim, block, worker + at.pooled, at.dim);
  attention_score_grads(a, at, block, worker);
  if (a.grad_weight == nullptr && a.grad_layers == nullptr) return;
  project_rows(at, a.input.dim, a.normalise, a.scratch, worker);
  attention_hidden_grads(at, a.scratch, slot, worker);
  if (a.normalise) scale_rows(worker + at.inverse, at.rows, at.hidden, worker + at.projected);
  if (a.grad_weight != nullptr) attention_weight_grads(at, a.hidden, slot, worker);
  if (a.grad_layers != nullptr) attention_layer_grads(a, at, block, worker);
}

template <class T>
void combine_attention_grad(const combine_attention_grad_args<T>& a) {
  const attention_layout at =
      make_attention_layout(a.input.num_rows, a.input.num_layers, a.input.dim, a.hidden, true);
  pack_attention(at, a.weight, a.bias, a.vector, a.input.dim, a.hidden, true, a.scratch);
  for_slots(
      at.parts, a.input.num_rows, at.nodes, a.num_workers, a.scratch,
      [&](const node_block& block, T* slot, T* worker) { attention_grad_block(a, at, block, slot, worker); });
  if (a.grad_weight == nullptr) return;
  const T* slots = a.scratch + at.parts.shared;
  reduce_slots(at.parts, slots + at.grad_weight, a.hidden, a.input.dim, at.dim, a.grad_weight, a.input.dim,
               1);
  reduce_slots(at.parts, slots + at.grad_bias, 1, a.hidden, at.hidden, a.grad_bias, 0, 1);
  reduce_slots(at.parts, slots + at.grad_vector, 1, a.hidden, at.hidden, a.grad_vector, 0, 1);
}

}  // namespace pyrec::PYREC_ISA
