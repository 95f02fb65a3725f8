#pragma once
#include "isa/simd.hpp"
#include "topk/key.hpp"
#include "topk/topk.hpp"

namespace pyrec::PYREC_ISA {

// A binary search without branches, which nothing could foretell.
PYREC_INLINE bool is_seen(const topk_args& a, int64_t user, int32_t id) {
  if (a.seen_indptr == nullptr) return false;
  const int32_t* from = a.seen_indices + a.seen_indptr[user];
  int64_t count = a.seen_indptr[user + 1] - a.seen_indptr[user];
  if (count == 0) return false;
  for (; count > 1; count -= count / 2) from += from[count / 2] <= id ? count / 2 : 0;
  return *from == id;
}

// A user's k best so far, as a heap with the worst at its root. At first it is k times empty_key.
struct best_list {
  uint64_t* key;  // (k,)
  int64_t k;

  PYREC_INLINE float worst() const { return key_score(key[0]); }

  // Puts a key at the root of a heap of `count`, in the place of what was there.
  PYREC_INLINE void put_at_root(int64_t count, uint64_t added) const {
    int64_t hole = 0;
    for (int64_t child = 1; child < count; child = 2 * hole + 1) {
      const int64_t sibling = child + 1 < count ? child + 1 : child;
      child = key[sibling] < key[child] ? sibling : child;
      if (added < key[child]) break;
      key[hole] = key[child];
      hole = child;
    }
    key[hole] = added;
  }
  PYREC_INLINE void offer(const topk_args& a, int64_t user, float score, int32_t id) const {
    const uint64_t added = to_key(score, id);
    if (added > key[0] && !is_seen(a, user, id)) put_at_root(k, added);
  }
  // From heap to list, the best first.
  void sort() const {
    for (int64_t last = k - 1; last > 0; --last) {
      const uint64_t moved = key[last];
      key[last] = key[0];
      put_at_root(last, moved);
    }
  }
};

PYREC_INLINE best_list list_of(const topk_args& a, int64_t split, int64_t user) {
  return {a.keys + (split * a.num_queries + user) * a.k, a.k};
}

// Sorts the lists of one user and merges those of several splits into the answer.
inline void finish_list(const topk_args& a, int64_t user) {
  for (int64_t split = 0; split < a.num_splits; ++split) list_of(a, split, user).sort();
  int64_t head[topk_max_splits] = {};
  for (int64_t rank = 0; rank < a.k; ++rank) {
    int64_t best = 0;
    uint64_t best_key = list_of(a, 0, user).key[head[0]];
    for (int64_t split = 1; split < a.num_splits; ++split) {
      const uint64_t key = list_of(a, split, user).key[head[split]];
      best = key > best_key ? split : best;
      best_key = key > best_key ? key : best_key;
    }
    a.scores[user * a.k + rank] = key_score(best_key);
    a.ids[user * a.k + rank] = key_id(best_key);
    ++head[best];
  }
}

}  // namespace pyrec::PYREC_ISA
