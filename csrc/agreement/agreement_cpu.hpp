#pragma once
#include "agreement/agreement.hpp"
#include "common/parallel.hpp"
#include "common/sample_weights.hpp"
#include "isa/rows.hpp"

namespace pyrec::PYREC_ISA {

struct pair_products {
  double score;
  double agreement;
};

template <class T>
PYREC_INLINE pair_products products_of(const agreement_args<T>& a, int64_t user, int64_t item) {
  const T* u = a.vectors + user * a.dim;
  const T* i = a.vectors + item * a.dim;
  const T* user_step = a.direction + user * a.dim;
  const T* item_step = a.direction + item * a.dim;
  vec<T> score{}, first{}, second{};
  for_vectors<T>(a.dim, [&](int64_t c, const auto& read, const auto&) {
    score = multiply_add(read(u + c), read(i + c), score);
    first = multiply_add(read(user_step + c), read(i + c), first);
    second = multiply_add(read(u + c), read(item_step + c), second);
  });
  pair_products of{sum_wide<T>(score), sum_wide<T>(first) + sum_wide<T>(second)};
  if (a.bias != nullptr) of.score += static_cast<double>(a.bias[user]) + static_cast<double>(a.bias[item]);
  if (a.bias_direction == nullptr) return of;
  of.agreement += static_cast<double>(a.bias_direction[user]) + static_cast<double>(a.bias_direction[item]);
  return of;
}

template <class T>
PYREC_INLINE void take_pair(const agreement_args<T>& a, int64_t k) {
  const pair_products of = products_of(a, a.users[k], a.items[k]);
  a.agreement[k] = static_cast<T>(of.agreement);
  if (a.label == nullptr) return;
  const pair_gradient grad = pair_gradient_of(a.kind, a.rate, of.score, static_cast<double>(a.label[k]),
                                              weight_of(a.weight, k), of.agreement);
  a.grad_weight[k] = static_cast<T>(grad.by_weight);
  a.grad_label[k] = static_cast<T>(grad.by_label);
}

// Pairs in parallel, sums by one thread in the order of the pairs.
template <class T>
void agreement(const agreement_args<T>& a) {
  constexpr int64_t pairs_per_task = 512;
  parallel_ranges(a.num_samples, pairs_per_task, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) take_pair(a, k);
  });
  if (a.groups == nullptr) return;
  for (int64_t g = 0; g < a.num_groups; ++g) a.sums[g] = T(0);
  for (int64_t k = 0; k < a.num_samples; ++k) a.sums[a.groups[k]] += a.grad_weight[k];
}

}  // namespace pyrec::PYREC_ISA
