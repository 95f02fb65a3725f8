#pragma once
// The metrics of an impression from its groups: what the CPU's kernels and a device's compute alike.
#include "impressions/impressions.hpp"

namespace pyrec {

// Where the walk over the ranks of an impression has come to; the cut-offs are written as they are passed.
struct impression_sums {
  const int64_t* cutoffs;
  int64_t num_cutoffs;
  const double* discount;
  const double* best_gains;
  int64_t num_clicks;
  double* ndcg;  // (num_cutoffs,)
  double* hit;   // (num_cutoffs,)

  int64_t passed = 0;  // cut-offs
  double gain = 0;
  double none = 1;  // Q of the rank come to
  double first = 0;
  double reciprocals = 0;

  PYREC_HOST_DEVICE PYREC_INLINE void pass_cutoffs_below(int64_t rank) {
    for (; passed < num_cutoffs && cutoffs[passed] < rank; ++passed) {
      const int64_t best = cutoffs[passed] < num_clicks ? cutoffs[passed] : num_clicks;
      ndcg[passed] = gain / best_gains[best - 1];
      hit[passed] = 1 - none;
    }
  }

  // Ranks above + 1 to above + tied.
  PYREC_HOST_DEVICE PYREC_INLINE void add_group(int64_t above, int64_t tied, int64_t clicked) {
    const double chance = static_cast<double>(clicked) / static_cast<double>(tied);
    double sum = 0;
    for (int64_t rank = above + 1; rank <= above + tied; ++rank) {
      pass_cutoffs_below(rank);
      const double reciprocal = 1 / static_cast<double>(rank);
      sum += reciprocal;
      if (passed < num_cutoffs) gain += chance * discount[rank - 1];
      if (none > 0) add_first(above + tied - rank + 1, clicked, reciprocal);
    }
    reciprocals += chance * sum;
  }

  // The first clicked one is here by chance clicked / left, if it is none before.
  PYREC_HOST_DEVICE PYREC_INLINE void add_first(int64_t left, int64_t clicked, double reciprocal) {
    const double here = clicked < left ? static_cast<double>(clicked) / static_cast<double>(left) : 1;
    first += none * here * reciprocal;
    none = clicked < left ? none * (static_cast<double>(left - clicked) / static_cast<double>(left)) : 0;
  }
};

// out: (3 + 2 num_cutoffs,)
template <class T>
PYREC_HOST_DEVICE PYREC_INLINE void write_impression(const impressions_args<T>& a,
                                                     const impression_groups<T>& groups, int64_t num_groups,
                                                     int64_t num_clicks, int64_t num_candidates,
                                                     double* out) {
  impression_sums sums{.cutoffs = a.cutoffs,
                       .num_cutoffs = a.num_cutoffs,
                       .discount = a.discount,
                       .best_gains = a.best_gains,
                       .num_clicks = num_clicks,
                       .ndcg = out + metrics_without_cutoff,
                       .hit = out + metrics_without_cutoff + a.num_cutoffs};
  int64_t above = 0;
  int64_t others_above = 0;
  int64_t twice_won = 0;  // at most 2 P N, which 63 bits hold
  const int64_t num_others = num_candidates - num_clicks;
  for (int64_t g = 0; g < num_groups; ++g) {
    const int64_t tied = groups.tied[g];
    const int64_t clicked = groups.clicked[g];
    above += groups.between[g];
    others_above += groups.between[g];
    sums.add_group(above, tied, clicked);
    above += tied;
    twice_won += clicked * (2 * (num_others - others_above) - (tied - clicked));
    others_above += tied - clicked;
  }
  sums.pass_cutoffs_below(largest_cutoff + 1);
  const auto pairs = static_cast<double>(num_clicks) * static_cast<double>(num_others);
  out[0] = static_cast<double>(twice_won) / (2 * pairs);
  out[1] = sums.reciprocals / static_cast<double>(num_clicks);
  out[2] = sums.first;
}

// Groups whose scores are above this one: where it belongs among the falling scores.
template <class T>
PYREC_HOST_DEVICE PYREC_INLINE int64_t groups_above(const T* score, int64_t num_groups, T one) {
  int64_t low = 0;
  for (int64_t high = num_groups; low < high;) {
    const int64_t middle = (low + high) / 2;
    const bool above = score[middle] > one;
    low = above ? middle + 1 : low;
    high = above ? high : middle;
  }
  return low;
}

}  // namespace pyrec
