#pragma once
// Additive attention. With r = 1, or 1 / ||x_l|| where rows are normalised, t = tanh(r W x_l + b),
// s_l = v . t + o_l and alpha = softmax_l(s):
//
//   dalpha_l = <g, x_l>         ds_l = alpha_l (dalpha_l - sum_m alpha_m dalpha_m)          do_l = ds_l
//   dv += ds_l t                z = ds_l v (1 - t^2)          db += z          dW += r z x_l^T
//   dx_l = alpha_l g + y        y = r W^T z, less its part along x_l, r^2 <x_l, y> x_l, where normalised
#include "combine/block_cpu.hpp"
#include "combine/normalise_cpu.hpp"
#include "pool/scores_cpu.hpp"

namespace pyrec::PYREC_ISA {

// Parameters padded for the products.
template <class T>
void pack_attention(const attention_weights<T>& w, int64_t dim, bool backward,
                    const attention_scratch<T>& s) {
  pack_scores(w.weight, w.bias, w.vector, 1, w.hidden, dim, backward, s);
}

// projected: (P, hidden) = r x W^T; inverse: (P,) = r where normalised.
template <class T>
void project_layers(const attention_scratch<T>& s, int64_t dim, bool normalise) {
  project_rows(s, dim);
  if (!normalise) return;
  inverse_lengths(s.x, s.rows, s.dim, s.inverse);
  scale_rows(s.inverse, s.rows, s.hidden, s.projected);
}

template <class T>
void attention_block(const combine_attention_args<T>& a, const node_block& block,
                     const attention_scratch<T>& s) {
  const int64_t num_layers = a.input.num_layers;
  read_layers(a.input, block, s.x, s.dim);
  read_mask(a.input, block, s.mask);
  project_layers(s, a.input.dim, a.attention.normalise);
  score_rows(s);
  if (a.offset != nullptr) add_lanes(a.offset, num_layers, block, T(1), s.scores);
  softmax_lanes(s.scores, s.mask, num_layers, s.nodes);
  write_lanes(s.scores, num_layers, block, a.alpha);
  pool_rows(s.x, s.scores, num_layers, s.nodes, s.dim, s.pooled);
  write_pooled(s.pooled, block, a.input.dim, s.dim, a.out);
}

template <class T>
void combine_attention(const combine_attention_args<T>& a) {
  const attention_scratch<T> layout(a.input.num_rows, a.input.num_layers, a.input.dim, a.attention.hidden,
                                    false);
  pack_attention(a.attention, a.input.dim, false, layout.at(a.scratch, 0, 0));
  for_blocks(a.input.num_rows, layout.nodes, a.num_workers, [&](const node_block& block, int worker) {
    attention_block(a, block, layout.at(a.scratch, 0, worker));
  });
}

// scores: (L, B) = ds
template <class T>
void attention_score_grads(const combine_attention_grad_args<T>& a, const node_block& block,
                           const attention_scratch<T>& s) {
  const int64_t num_layers = a.input.num_layers;
  read_lanes(a.alpha, num_layers, block, s.alpha);
  dot_rows(s.x, s.pooled, num_layers, s.nodes, s.dim, s.scores);
  if (a.grad_of_alpha != nullptr) add_lanes(a.grad_of_alpha, num_layers, block, T(1), s.scores);
  softmax_lanes_backward(s.alpha, s.scores, num_layers, s.nodes);
  if (a.grad_offset != nullptr) write_lanes(s.scores, num_layers, block, a.grad_offset);
}

// dx = alpha g + y, y = z W less its part along x where normalised: alpha g comes first where y may be added
// to it, and last where y has to be complete before.
template <class T>
void attention_layer_grads(const combine_attention_grad_args<T>& a, const node_block& block,
                           const attention_scratch<T>& s) {
  const bool normalise = a.attention.normalise;
  const auto spread_grad = [&] {
    spread_rows(s.pooled, s.alpha, a.input.num_layers, s.nodes, s.dim, normalise, s.grad_x);
  };
  if (!normalise) spread_grad();
  score_row_grads(s, a.attention.hidden, !normalise);
  if (normalise) {
    keep_across_rows(s.x, s.inverse, s.rows, s.dim, s.grad_x);
    spread_grad();
  }
  write_layers(a.input, block, s.grad_x, s.dim, a.grad_layers);
}

template <class T>
void attention_grad_block(const combine_attention_grad_args<T>& a, const node_block& block,
                          const attention_scratch<T>& s) {
  read_layers(a.input, block, s.x, s.dim);
  read_rows(a.grad, a.input.dim, a.input.dim, block, s.pooled, s.dim);
  attention_score_grads(a, block, s);
  if (a.grad_weight == nullptr && a.grad_layers == nullptr) return;
  project_layers(s, a.input.dim, a.attention.normalise);
  score_hidden_grads(s);
  if (a.attention.normalise) scale_rows(s.inverse, s.rows, s.hidden, s.projected);
  if (a.grad_weight != nullptr) score_weight_grads(s, a.attention.hidden);
  if (a.grad_layers != nullptr) attention_layer_grads(a, block, s);
}

template <class T>
void combine_attention_grad(const combine_attention_grad_args<T>& a) {
  const int64_t dim = a.input.dim, hidden = a.attention.hidden;
  const attention_scratch<T> layout(a.input.num_rows, a.input.num_layers, dim, hidden, true);
  const attention_scratch<T> first = layout.at(a.scratch, 0, 0);
  pack_attention(a.attention, dim, true, first);
  for_stripes(
      layout, a.input.num_rows, a.num_workers, a.scratch,
      [&](const node_block& block, const attention_scratch<T>& s) { attention_grad_block(a, block, s); });
  if (a.grad_weight == nullptr) return;
  add_stripes(layout.regions, first.grad_weight, hidden, dim, layout.dim, a.grad_weight, dim, 1);
  add_stripes(layout.regions, first.grad_bias, 1, hidden, layout.hidden, a.grad_bias, 0, 1);
  add_stripes(layout.regions, first.grad_vector, 1, hidden, layout.hidden, a.grad_vector, 0, 1);
}

}  // namespace pyrec::PYREC_ISA
