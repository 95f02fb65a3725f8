#pragma once
// The k best of finished scores. A task is a user and a split of the candidates: their scores pass through the
// registers once, and only those above the user's k-th best so far leave them. A larger one than all before is
// found some k ln(n / k) times in n scores of any order, so the pass is bound by memory.
#include "common/parallel.hpp"
#include "topk/select_cpu.hpp"
#include "topk/tile_cpu.hpp"

namespace pyrec::PYREC_ISA {

constexpr int select_panels = 4;                       // looked at before the branch
constexpr int64_t scores_per_task = int64_t{1} << 15;  // some 10 µs

struct select_task {
  const topk_args& a;
  int64_t user, split;
  best_list best;
  float worst;
  vec<int32_t> largest;  // bits of the largest magnitude of each lane

  select_task(const topk_args& args, int64_t of_user, int64_t of_split)
      : a(args), user(of_user), split(of_split), best(list_of(args, of_split, of_user)), largest{} {
    for (int64_t i = 0; i < a.k; ++i) best.key[i] = empty_key;
    worst = best.worst();
  }
};

PYREC_INLINE void look_at(select_task& t, vec<float> scores) {
  const vec<int32_t> bits = (vec<int32_t>)scores & 0x7FFFFFFF;
  t.largest = bits > t.largest ? bits : t.largest;
}

// A bit for each of the panel's scores that is above the k-th best.
PYREC_INLINE uint32_t above_worst(select_task& t, const float* scores) {
  const vec<float> worst = broadcast(t.worst);
  uint32_t found = 0;
  for (int v = 0; v < panel_vectors; ++v) {
    const vec<float> score = load(scores + v * simd<float>::width);
    look_at(t, score);
    found |= greater_bits(score, worst) << (v * simd<float>::width);
  }
  return found;
}

// Candidates from `first` on come in ascending id, so one that only equals the worst is behind it.
__attribute__((noinline)) inline void offer_scores(select_task& t, uint32_t lanes, const float* scores,
                                                   int64_t first) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = __builtin_ctz(lanes);
    if (!(scores[lane] > t.worst)) continue;
    const int64_t candidate = first + lane;
    const int32_t id = t.a.allowed != nullptr ? t.a.allowed[candidate] : static_cast<int32_t>(candidate);
    t.best.offer(t.a, t.user, scores[lane], id);
    t.worst = t.best.worst();
  }
}

// Fewer candidates than a panel, or such as do not lie side by side.
PYREC_INLINE void select_gathered(select_task& t, const float* row, int64_t first, int64_t count) {
  float scores[panel_width] = {};
  for (int64_t lane = 0; lane < count; ++lane) {
    scores[lane] = row[t.a.allowed != nullptr ? t.a.allowed[first + lane] : first + lane];
  }
  const uint32_t lanes = above_worst(t, scores) & real_lanes(count);
  if (lanes != 0) offer_scores(t, lanes, scores, first);
}

inline void select_split(select_task& t) {
  const float* row = t.a.finished + t.user * t.a.num_items;
  int64_t first = t.a.num_candidates * t.split / t.a.num_splits;
  const int64_t last = t.a.num_candidates * (t.split + 1) / t.a.num_splits;
  constexpr int64_t step = select_panels * panel_width;
  for (; t.a.allowed == nullptr && first + step <= last; first += step) {
    uint32_t lanes[select_panels];
    uint32_t any = 0;
    for (int p = 0; p < select_panels; ++p) any |= lanes[p] = above_worst(t, row + first + p * panel_width);
    if (any == 0) continue;
    for (int p = 0; p < select_panels; ++p) {
      const int64_t start = first + p * panel_width;
      if (lanes[p] != 0) offer_scores(t, lanes[p], row + start, start);
    }
  }
  for (; first < last; first += panel_width) {
    select_gathered(t, row, first, last - first < panel_width ? last - first : panel_width);
  }
}

// A number among those looked at that is not finite.
inline bool met_not_finite(const select_task& t) {
  constexpr int32_t infinity = 0x7F800000;
  bool met = false;
  for (int lane = 0; lane < simd<float>::width; ++lane) met |= t.largest[lane] >= infinity;
  return met;
}

inline void topk_select(const topk_args& a) {
  const int64_t of_a_split = a.num_candidates / a.num_splits + 1;
  const int64_t per = of_a_split < scores_per_task ? scores_per_task / of_a_split : 1;
  parallel_ranges(a.num_queries * a.num_splits, per, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      select_task task(a, i / a.num_splits, i % a.num_splits);
      select_split(task);
      if (met_not_finite(task)) __atomic_store_n(a.faults + topk_unsound, 1u, __ATOMIC_RELAXED);
    }
  });
  constexpr int64_t users_per_task = 64;
  parallel_ranges(a.num_queries, users_per_task, [&](int64_t first, int64_t last) {
    for (int64_t user = first; user < last; ++user) finish_list(a, user);
  });
}

}  // namespace pyrec::PYREC_ISA
