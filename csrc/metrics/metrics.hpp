#pragma once
// Ranking metrics of each user at several cut-offs, in one pass over the recommended ids.
// With hit_i = 1 where rank i (from 1) is among the user's test items T:
//
//   precision@k = sum_{i<=k} hit_i / k                 recall@k = sum_{i<=k} hit_i / |T|
//   ndcg@k = sum_{i<=k} hit_i discount_i / sum_{i<=min(k,|T|)} discount_i,     discount_i = 1 / log2(i + 1)
//   hit@k  = 1 with a hit, else 0                      mrr@k = 1 / rank of the first hit, 0 without one
//   map@k  = sum_{i<=k} hit_i precision@i / min(k, |T|)
//
// A user without test items has NaN everywhere.
#include <cstdint>

namespace pyrec {

constexpr int64_t num_metrics = 6;

struct metrics_args {
  const int32_t* ids;  // (num_queries, list_size), -1 behind the end of a list
  int64_t num_queries;
  int64_t list_size;
  const int64_t* test_indptr;   // (num_queries + 1,)
  const int32_t* test_indices;  // (num_test,) ascending in each row
  const int64_t* cutoffs;       // (num_cutoffs,) ascending, 1 to list_size
  int64_t num_cutoffs;
  const double* discount;    // (list_size,)
  const double* best_gains;  // (list_size,) running sums of discount
  double* out;               // (num_queries, num_cutoffs, num_metrics)

  // For kernels on a device.
  int64_t num_test;
  bool* bad;  // (1,) becomes true where ids or test items are not what they should be
  void* stream;
};

// counts[c, i] = number of lists that hold item i within their first cutoffs[c] places
struct item_counts_args {
  const int32_t* ids;  // (num_queries, list_size), -1 behind the end of a list
  int64_t num_queries;
  int64_t list_size;
  const int64_t* cutoffs;  // (num_cutoffs,) ascending, 1 to list_size
  int64_t num_cutoffs;
  int64_t num_items;
  int64_t* counts;  // (num_cutoffs, num_items)

  bool* bad;  // as above
  void* stream;
};

struct metrics_kernels {
  bool checks_input = false;  // looks into the arrays itself; else the binding does before
  void (*ranking)(const metrics_args&);
  void (*item_counts)(const item_counts_args&);
};

}  // namespace pyrec
