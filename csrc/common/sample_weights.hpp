#pragma once
// The mean of samples' losses l_s by their weights w_s, and its gradient in them:
//
//   L = sum_s w_s l_s / W        W = sum_s w_s        dL/dw_s = (l_s - L) / W
//
// A null pointer in place of weights (num_samples,) stands for 1 each.
#include <cstdint>

#include "common/inline.hpp"

namespace pyrec {

// Sums W that can be divided by, and that losses times weights keep clear of infinity.
constexpr double least_weight_sum = 1e-290;
constexpr double largest_weight_sum = 1e290;

template <class T>
PYREC_HOST_DEVICE PYREC_INLINE double weight_of(const T* weight, int64_t sample) {
  return weight != nullptr ? static_cast<double>(weight[sample]) : 1.0;
}

template <class T>
PYREC_INLINE double sum_of_weights(const T* weight, int64_t num_samples) {
  if (weight == nullptr) return static_cast<double>(num_samples);
  double sum = 0;
  for (int64_t s = 0; s < num_samples; ++s) sum += static_cast<double>(weight[s]);
  return sum;
}

// losses: (num_samples,) l, become dL/dw; share: 1 / W.
template <class T>
PYREC_INLINE void weight_gradient(T* losses, int64_t num_samples, double mean, double share) {
  for (int64_t s = 0; s < num_samples; ++s) {
    losses[s] = static_cast<T>((static_cast<double>(losses[s]) - mean) * share);
  }
}

}  // namespace pyrec
