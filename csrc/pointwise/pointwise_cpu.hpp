#pragma once
#include "common/sample_weights.hpp"
#include "isa/rows.hpp"
#include "pointwise/pointwise.hpp"

namespace pyrec::PYREC_ISA {

template <class T>
PYREC_INLINE double score(const pointwise_args<T>& a, int64_t user, int64_t item) {
  const T* u = a.vectors + user * a.dim;
  const T* i = a.vectors + item * a.dim;
  vec<T> sum{};
  for_vectors<T>(a.dim, [&](int64_t c, const auto& read, const auto&) {
    sum = multiply_add(read(u + c), read(i + c), sum);
  });
  const double product = sum_wide<T>(sum);
  if (a.bias == nullptr) return product;
  return product + static_cast<double>(a.bias[user]) + static_cast<double>(a.bias[item]);
}

// grad of a user and an item, one after the other: they may be the same row.
template <class T>
PYREC_INLINE void add_pair_gradients(const pointwise_args<T>& a, int64_t user, int64_t item, T rate) {
  const T* u = a.vectors + user * a.dim;
  const T* i = a.vectors + item * a.dim;
  for_vectors<T>(a.dim, [&](int64_t c, const auto& read, const auto& write) {
    const auto add = [&](int64_t row, vec<T> value) {
      T* at = a.grad + row * a.dim + c;
      write(at, multiply_add(broadcast(rate), value, read(at)));
    };
    add(user, read(i + c));
    add(item, read(u + c));
  });
  if (a.grad_bias == nullptr) return;
  a.grad_bias[user] += rate;
  a.grad_bias[item] += rate;
}

template <class T>
void pointwise(const pointwise_args<T>& a) {
  for (int64_t i = 0; i < a.num_rows * a.dim; ++i) a.grad[i] = T(0);
  for (int64_t i = 0; a.grad_bias != nullptr && i < a.num_rows; ++i) a.grad_bias[i] = T(0);
  const double share = 1.0 / sum_of_weights(a.weight, a.num_samples);
  double total = 0;
  for (int64_t s = 0; s < a.num_samples; ++s) {
    const double weight = weight_of(a.weight, s);
    const double x = score(a, a.users[s], a.items[s]);
    const pointwise_loss of = pointwise_loss_of(a.kind, x, static_cast<double>(a.label[s]));
    total += weight * of.loss;
    add_pair_gradients(a, a.users[s], a.items[s], static_cast<T>(of.by_score * (weight * share)));
    if (a.grad_label != nullptr) a.grad_label[s] = static_cast<T>(of.by_label * (weight * share));
    if (a.grad_weight != nullptr) a.grad_weight[s] = static_cast<T>(of.loss);
  }
  *a.loss = static_cast<T>(total * share);
  if (a.grad_weight != nullptr) weight_gradient(a.grad_weight, a.num_samples, total * share, share);
}

}  // namespace pyrec::PYREC_ISA
