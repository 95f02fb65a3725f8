#pragma once
// Sums of events that decay, before each event. With keys, times that never fall and amounts of n events:
//
//   out[e, m, f] = sum_{j: key_j = key_e, time_j < time_e} amount[j, m] 2^-((time_e - time_j) rate_f)
//
// A key's sums are carried from one of its events to the next, so that each takes M F operations:
//
//   S <- (S + pending) 2^-((time_e - last) rate)   where time has passed since `last`; then pending <- 0
//   pending <- pending + amount[e]
//
// S are the sums right before `last`. What happened at `last` is pending: it counts for later times alone. So events
// that are given in two calls have the bits of one.
#include <cstdint>

namespace pyrec {

constexpr int64_t most_rates = 64;

struct decayed_args {
  const int32_t* keys;   // (num_events,) in [0, num_keys)
  const double* times;   // (num_events,) never falling
  const float* amounts;  // (num_events, num_amounts)
  const double* rates;   // (num_rates,) 1 / half-life; 0 for sums that do not decay
  int64_t num_events;
  int64_t num_amounts;
  int64_t num_rates;  // at most most_rates
  int64_t num_keys;
  double* values;   // (num_keys, num_amounts, num_rates) S
  double* pending;  // (num_keys, num_amounts)
  double* last;     // (num_keys,) -inf where nothing happened
  float* out;       // (num_events, num_amounts, num_rates)
};

void decayed_counts(const decayed_args& args);

}  // namespace pyrec
