#include "decayed/decayed.hpp"

#include <cmath>
#include <limits>

#include "common/parallel.hpp"

namespace pyrec {

namespace {

constexpr int64_t keys_of_a_line = 64;        // neighbours are one thread's, so that no two write to a line
constexpr int64_t events_for_threads = 4096;  // fewer are one thread's

void let_time_pass(const decayed_args& a, double gone, double* values, double* pending) {
  double decay[most_rates];
  for (int64_t f = 0; f < a.num_rates; ++f) decay[f] = a.rates[f] > 0 ? std::exp2(-gone * a.rates[f]) : 1;
  for (int64_t m = 0; m < a.num_amounts; ++m) {
    for (int64_t f = 0; f < a.num_rates; ++f) {
      double& value = values[m * a.num_rates + f];
      value = (value + pending[m]) * decay[f];
    }
    pending[m] = 0;
  }
}

void take_event(const decayed_args& a, int64_t event) {
  const int64_t key = a.keys[event];
  const int64_t width = a.num_amounts * a.num_rates;
  double* values = a.values + key * width;
  double* pending = a.pending + key * a.num_amounts;
  double& last = a.last[key];
  const double time = a.times[event];
  if (time > last) {
    if (last > -std::numeric_limits<double>::infinity()) let_time_pass(a, time - last, values, pending);
    last = time;
  }
  float* out = a.out + event * width;
  for (int64_t i = 0; i < width; ++i) out[i] = static_cast<float>(values[i]);
  const float* amounts = a.amounts + event * a.num_amounts;
  for (int64_t m = 0; m < a.num_amounts; ++m) pending[m] += static_cast<double>(amounts[m]);
}

}  // namespace

// Each thread goes through all events and takes those of its keys, in their order.
void decayed_counts(const decayed_args& a) {
  const int64_t shares = a.num_events < events_for_threads ? 1 : num_threads();
  parallel_for(shares, [&](int64_t share) {
    for (int64_t event = 0; event < a.num_events; ++event) {
      if (shares == 1 || a.keys[event] / keys_of_a_line % shares == share) take_event(a, event);
    }
  });
}

}  // namespace pyrec
