#pragma once
#include "bpr/bpr.hpp"
#include "common/sample_weights.hpp"
#include "isa/rows.hpp"

namespace pyrec::PYREC_ISA {

template <class T>
PYREC_INLINE double margin(const T* user, const T* positive, const T* negative, int64_t dim) {
  vec<T> sum{};
  for_vectors<T>(dim, [&](int64_t c, const auto& read, const auto&) {
    sum = multiply_add(read(user + c), read(negative + c) - read(positive + c), sum);
  });
  return sum_wide<T>(sum);
}

// grad of a user, positive and negative, one after the other: they may be the same row.
template <class T>
PYREC_INLINE void add_gradients(const bpr_args<T>& a, int64_t user, int64_t positive, int64_t negative,
                                T rate) {
  const T* u = a.vectors + user * a.dim;
  const T* p = a.vectors + positive * a.dim;
  const T* n = a.vectors + negative * a.dim;
  for_vectors<T>(a.dim, [&](int64_t c, const auto& read, const auto& write) {
    const auto add = [&](int64_t row, vec<T> value) {
      T* at = a.grad + row * a.dim + c;
      write(at, multiply_add(broadcast(rate), value, read(at)));
    };
    add(user, read(n + c) - read(p + c));
    add(positive, -read(u + c));
    add(negative, read(u + c));
  });
}

template <class T>
void bpr(const bpr_args<T>& a) {
  for (int64_t i = 0; i < a.num_rows * a.dim; ++i) a.grad[i] = T(0);
  const double weights = sum_of_weights(a.weight, a.num_samples);
  const auto num_negatives = static_cast<double>(a.num_negatives);
  const double share = 1.0 / (weights * num_negatives);
  double total = 0;
  for (int64_t s = 0; s < a.num_samples; ++s) {
    const double weight = weight_of(a.weight, s);
    double sample_loss = 0;
    for (int64_t j = 0; j < a.num_negatives; ++j) {
      const int64_t negative = a.negatives[s * a.num_negatives + j];
      const T* u = a.vectors + a.users[s] * a.dim;
      const T* p = a.vectors + a.positives[s] * a.dim;
      const double x = margin(u, p, a.vectors + negative * a.dim, a.dim);
      const double decay = __builtin_exp(-__builtin_fabs(x));
      const double loss = (x > 0 ? x : 0) + __builtin_log1p(decay);
      total += weight * loss;
      sample_loss += loss;
      const double sigmoid = (x > 0 ? 1 : decay) / (1 + decay);
      add_gradients(a, a.users[s], a.positives[s], negative, static_cast<T>(sigmoid * (weight * share)));
    }
    if (a.grad_weight != nullptr) a.grad_weight[s] = static_cast<T>(sample_loss / num_negatives);
  }
  *a.loss = static_cast<T>(total * share);
  if (a.grad_weight != nullptr) weight_gradient(a.grad_weight, a.num_samples, total * share, 1 / weights);
}

}  // namespace pyrec::PYREC_ISA
