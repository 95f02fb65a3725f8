#pragma once
// What the CPU's kernels and a device's compute alike.
#include <cstdint>

#include "common/inline.hpp"

namespace pyrec {

// What the ranks so far of one user's list add up to.
struct metric_sums {
  int64_t hits = 0;
  int64_t first_hit = 0;  // rank of the first hit, 0 without one
  double gain = 0;
  double precisions = 0;

  PYREC_HOST_DEVICE PYREC_INLINE void add_hit(int64_t rank, double discount) {
    ++hits;
    if (first_hit == 0) first_hit = rank;
    gain += discount;
    precisions += static_cast<double>(hits) / static_cast<double>(rank);
  }
  PYREC_HOST_DEVICE PYREC_INLINE void write(int64_t k, int64_t num_test, const double* best_gains,
                                            double* out) const {
    const int64_t best = k < num_test ? k : num_test;
    out[0] = static_cast<double>(hits) / static_cast<double>(k);
    out[1] = static_cast<double>(hits) / static_cast<double>(num_test);
    out[2] = gain / best_gains[best - 1];
    out[3] = hits > 0 ? 1 : 0;
    out[4] = first_hit > 0 ? 1 / static_cast<double>(first_hit) : 0;
    out[5] = precisions / static_cast<double>(best);
  }
};

// Whether id is among the ascending ids [first, last).
PYREC_HOST_DEVICE PYREC_INLINE bool contains(const int32_t* first, const int32_t* last, int32_t id) {
  int64_t count = last - first;
  while (count > 1) {
    const int64_t half = count / 2;
    first = first[half] <= id ? first + half : first;
    count -= half;
  }
  return count == 1 && *first == id;
}

}  // namespace pyrec
