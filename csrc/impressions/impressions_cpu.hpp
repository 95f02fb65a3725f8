#pragma once
#include "common/parallel.hpp"
#include "impressions/impression_sums.hpp"
#include "isa/simd.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t impressions_per_task = 256;
constexpr int64_t few_clicks = 64;  // of an impression whose groups fit on the stack
constexpr int64_t few_groups = 8;   // each is compared with every candidate, by vectors

template <class T>
struct few_impression_groups {
  T gathered[few_clicks];
  T score[few_clicks];
  int32_t clicked[few_clicks];
  int32_t tied[few_clicks];
  int32_t between[few_clicks];

  PYREC_INLINE impression_groups<T> groups() { return {gathered, score, clicked, tied, between}; }
};

// Restores a heap, smallest on top, below `at`.
template <class T>
PYREC_INLINE void sift_down(T* heap, int64_t at, int64_t count) {
  const T value = heap[at];
  for (int64_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
    if (child + 1 < count && heap[child + 1] < heap[child]) ++child;
    if (!(heap[child] < value)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = value;
}

template <class T>
PYREC_INLINE void sort_falling(T* values, int64_t count) {
  if (count <= few_clicks) {
    for (int64_t i = 1; i < count; ++i) {
      const T value = values[i];
      int64_t at = i;
      for (; at > 0 && values[at - 1] < value; --at) values[at] = values[at - 1];
      values[at] = value;
    }
    return;
  }
  for (int64_t at = count / 2; at-- > 0;) sift_down(values, at, count);
  for (int64_t last = count - 1; last > 0; --last) {
    const T least = values[0];
    values[0] = values[last];
    values[last] = least;
    sift_down(values, 0, last);
  }
}

// The number of groups.
template <class T>
PYREC_INLINE int64_t make_groups(const impression_groups<T>& groups, int64_t num_clicks) {
  sort_falling(groups.gathered, num_clicks);
  int64_t count = 0;
  for (int64_t i = 0; i < num_clicks; ++i) {
    if (i == 0 || groups.gathered[i] != groups.gathered[i - 1]) {
      groups.score[count] = groups.gathered[i];
      groups.clicked[count] = groups.tied[count] = groups.between[count] = 0;
      ++count;
    }
    ++groups.clicked[count - 1];
  }
  return count;
}

// scores: (count,) of the impression
template <class T>
PYREC_INLINE void count_few(const impression_groups<T>& groups, int64_t num_groups, const T* scores,
                            int64_t count) {
  int32_t through = 0;  // candidates of the groups before, and above them
  for (int64_t g = 0; g < num_groups; ++g) {
    const T score = groups.score[g];
    int32_t above = 0;
    int32_t tied = 0;
    for (int64_t i = 0; i < count; ++i) {
      above += scores[i] > score ? 1 : 0;
      tied += scores[i] == score ? 1 : 0;
    }
    groups.between[g] = above - through;
    groups.tied[g] = tied;
    through = above + tied;
  }
}

template <class T>
PYREC_INLINE void count_many(const impression_groups<T>& groups, int64_t num_groups, const T* scores,
                             int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t g = groups_above(groups.score, num_groups, scores[i]);
    if (g == num_groups) continue;
    if (groups.score[g] == scores[i]) {
      ++groups.tied[g];
    } else {
      ++groups.between[g];
    }
  }
}

template <class T>
void rank_impression(const impressions_args<T>& a, const impression_groups<T>& of_all, int64_t impression) {
  const int64_t first = a.indptr[impression];
  const int64_t count = a.indptr[impression + 1] - first;
  const uint8_t* clicks = a.clicks + first;
  const T* scores = a.scores + first;
  const int64_t width = metrics_without_cutoff + 2 * a.num_cutoffs;
  double* out = a.out + impression * width;
  int64_t num_clicks = 0;
  for (int64_t i = 0; i < count; ++i) num_clicks += clicks[i] != 0 ? 1 : 0;
  if (num_clicks == 0 || num_clicks == count) {
    for (int64_t i = 0; i < width; ++i) out[i] = __builtin_nan("");
    return;
  }
  few_impression_groups<T> few;
  const impression_groups<T> groups = num_clicks <= few_clicks ? few.groups() : of_all.from(first);
  int64_t gathered = 0;
  for (int64_t i = 0; gathered < num_clicks; ++i) {
    if (clicks[i] != 0) groups.gathered[gathered++] = scores[i];
  }
  const int64_t num_groups = make_groups(groups, num_clicks);
  if (num_groups <= few_groups) {
    count_few(groups, num_groups, scores, count);
  } else {
    count_many(groups, num_groups, scores, count);
  }
  write_impression(a, groups, num_groups, num_clicks, count, out);
}

template <class T>
void impressions(const impressions_args<T>& a) {
  buffer_parts parts(a.scratch);
  const impression_groups<T> of_all = take_groups<T>(parts, a.num_candidates);
  parallel_ranges(a.num_impressions, impressions_per_task, [&](int64_t first, int64_t last) {
    for (int64_t impression = first; impression < last; ++impression) rank_impression(a, of_all, impression);
  });
}

}  // namespace pyrec::PYREC_ISA
