#pragma once
#include <cmath>
#include <optional>
#include <string>

#include "common/check.hpp"
#include "common/sample_weights.hpp"

namespace pyrec {

// weight: (num_samples,) finite numbers of at least 0, whose sum can be divided by; or none.
template <class T>
void check_weights(const std::optional<tensor>& weight) {
  if (!weight) return;
  const T* values = weight->data<const T>();
  double sum = 0;
  for (int64_t s = 0; s < weight->numel(); ++s) {
    if (!(values[s] >= 0) || !std::isfinite(values[s])) {
      throw data_error(std::string(weight->name()) + "[" + std::to_string(s) + "] = " +
                       std::to_string(values[s]) + ", but a weight is a finite number of at least 0");
    }
    sum += static_cast<double>(values[s]);
  }
  if (sum >= least_weight_sum && sum <= largest_weight_sum) return;
  throw data_error(std::string(weight->name()) + " has the sum " + std::to_string(sum) +
                   ", but a weighted mean divides by it; it must be above 0, from 1e-290 to 1e290");
}

}  // namespace pyrec
