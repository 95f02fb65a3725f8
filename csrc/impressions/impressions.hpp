#pragma once
// Metrics of impressions: of each list of candidates with scores, P of them clicked and N not.
//
// Ranks count from 1, by falling score. Candidates of one score are in random order, each order as likely as any
// other, and every metric is its expected value: it depends neither on the order of the candidates nor on a sort.
// A group g is the t_g candidates of one score, c_g of them clicked, behind a_g candidates of larger scores:
//
//   auc       = sum_g c_g (others below g + others in g / 2) / (P N)
//   mrr       = 1/P sum_g (c_g / t_g) sum_{a_g < r <= a_g + t_g} 1/r               the mean of 1 / rank
//   mrr_first = sum_r (Q(r-1) - Q(r)) / r                                         1 / rank of the first clicked one
//   ndcg@k    = sum_g (c_g / t_g) sum_{a_g < r <= min(a_g + t_g, k)} d_r / sum_{r <= min(k, P)} d_r,   d_r = 1 / log2(r + 1)
//   hit@k     = 1 - Q(k)
//
// where Q(r) is the chance that none of the first r is clicked: 1 above the first group g with a clicked one; within
// it Q(r) = prod_{i < r - a_g} (t_g - c_g - i) / (t_g - i); then 0.
//
// An impression with P = 0 or N = 0 has NaN everywhere.
#include <cstdint>

#include "common/scratch_parts.hpp"

namespace pyrec {

constexpr int64_t largest_cutoff = 65536;
constexpr int64_t metrics_without_cutoff = 3;  // auc, mrr, mrr_first

template <class T>
struct impressions_args {
  const T* scores;        // (num_candidates,)
  const uint8_t* clicks;  // (num_candidates,) 0 or not
  const int64_t* indptr;  // (num_impressions + 1,)
  int64_t num_candidates;
  int64_t num_impressions;
  const int64_t* cutoffs;  // (num_cutoffs,) ascending, 1 to largest_cutoff
  int64_t num_cutoffs;
  const double* discount;    // (last cut-off,) d_r of rank r at r - 1
  const double* best_gains;  // (last cut-off,) running sums of discount
  double* out;               // (num_impressions, 3 + 2 num_cutoffs): auc, mrr, mrr_first, ndcg@k.., hit@k..
  void* scratch;             // of impressions_scratch_bytes

  // For kernels on a device.
  bool* bad;  // (1,) becomes true where a score is NaN or a row pointer is wrong
  void* stream;
};

// The groups of an impression that have a clicked candidate, larger scores first. A part of the scratch has room for
// all impressions; an impression's groups are where its candidates are.
template <class T>
struct impression_groups {
  T* gathered;       // the scores of clicked candidates, and then sorted
  T* score;          // of each group
  int32_t* clicked;  // candidates of that score that were clicked
  int32_t* tied;     // candidates of that score
  int32_t* between;  // candidates between the group before and this one

  PYREC_HOST_DEVICE PYREC_INLINE impression_groups from(int64_t first) const {
    return {gathered + first, score + first, clicked + first, tied + first, between + first};
  }
};

template <class T>
PYREC_INLINE impression_groups<T> take_groups(buffer_parts& parts, int64_t num_candidates) {
  return {.gathered = parts.take<T>(num_candidates),
          .score = parts.take<T>(num_candidates),
          .clicked = parts.take<int32_t>(num_candidates),
          .tied = parts.take<int32_t>(num_candidates),
          .between = parts.take<int32_t>(num_candidates)};
}

struct impressions_kernels {
  bool checks_input = false;  // looks into the arrays itself; else the binding does before
  void (*f32)(const impressions_args<float>&);
  void (*f64)(const impressions_args<double>&);

  void run(const impressions_args<float>& args) const { f32(args); }
  void run(const impressions_args<double>& args) const { f64(args); }
};

}  // namespace pyrec
