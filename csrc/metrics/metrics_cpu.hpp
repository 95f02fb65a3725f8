#pragma once
#include "common/parallel.hpp"
#include "isa/simd.hpp"
#include "metrics/metrics.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t metric_users_per_task = 256;

// What the ranks so far of one user's list add up to.
struct metric_sums {
  int64_t hits = 0;
  int64_t first_hit = 0;  // rank of the first hit, 0 without one
  double gain = 0;
  double precisions = 0;

  PYREC_INLINE void add_hit(int64_t rank, double discount) {
    ++hits;
    if (first_hit == 0) first_hit = rank;
    gain += discount;
    precisions += static_cast<double>(hits) / static_cast<double>(rank);
  }
  PYREC_INLINE void write(int64_t k, int64_t num_test, const double* best_gains, double* out) const {
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
PYREC_INLINE bool contains(const int32_t* first, const int32_t* last, int32_t id) {
  int64_t count = last - first;
  while (count > 1) {
    const int64_t half = count / 2;
    first = first[half] <= id ? first + half : first;
    count -= half;
  }
  return count == 1 && *first == id;
}

inline void rank_user(const metrics_args& a, int64_t user) {
  const int32_t* ids = a.ids + user * a.list_size;
  const int32_t* test = a.test_indices + a.test_indptr[user];
  const int32_t* test_end = a.test_indices + a.test_indptr[user + 1];
  double* out = a.out + user * a.num_cutoffs * num_metrics;
  if (test == test_end) {
    for (int64_t i = 0; i < a.num_cutoffs * num_metrics; ++i) out[i] = __builtin_nan("");
    return;
  }
  metric_sums sums;
  int64_t rank = 0;
  for (int64_t c = 0; c < a.num_cutoffs; ++c) {
    for (; rank < a.cutoffs[c]; ++rank) {
      if (contains(test, test_end, ids[rank])) sums.add_hit(rank + 1, a.discount[rank]);
    }
    sums.write(a.cutoffs[c], test_end - test, a.best_gains, out + c * num_metrics);
  }
}

inline void ranking_metrics(const metrics_args& a) {
  parallel_for((a.num_queries + metric_users_per_task - 1) / metric_users_per_task, [&](int64_t task) {
    const int64_t last = (task + 1) * metric_users_per_task;
    for (int64_t user = task * metric_users_per_task; user < last && user < a.num_queries; ++user) {
      rank_user(a, user);
    }
  });
}

// An id counts once, in the first cut-off that holds its rank; running sums over the cut-offs do the rest.
inline void item_counts(const item_counts_args& a) {
  for (int64_t i = 0; i < a.num_cutoffs * a.num_items; ++i) a.counts[i] = 0;
  for (int64_t user = 0; user < a.num_queries; ++user) {
    const int32_t* ids = a.ids + user * a.list_size;
    int64_t rank = 0;
    for (int64_t c = 0; c < a.num_cutoffs; ++c) {
      for (; rank < a.cutoffs[c] && ids[rank] >= 0; ++rank) ++a.counts[c * a.num_items + ids[rank]];
    }
  }
  for (int64_t i = a.num_items; i < a.num_cutoffs * a.num_items; ++i)
    a.counts[i] += a.counts[i - a.num_items];
}

}  // namespace pyrec::PYREC_ISA
