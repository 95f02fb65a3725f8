#pragma once
#include "common/parallel.hpp"
#include "isa/simd.hpp"
#include "metrics/metric_sums.hpp"
#include "metrics/metrics.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t metric_users_per_task = 256;

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
  parallel_ranges(a.num_queries, metric_users_per_task, [&](int64_t first, int64_t last) {
    for (int64_t user = first; user < last; ++user) rank_user(a, user);
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
