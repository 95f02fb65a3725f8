#pragma once
#include "common/parallel.hpp"
#include "isa/simd.hpp"
#include "topk/topk.hpp"

namespace pyrec::PYREC_ISA {

// Candidates lie in panels, feature after feature: (dim, panel_width). A tile is some users against a panel,
// its scores all in registers: 12 x 2 vectors of 32 registers, or 6 x 2 of 16.
constexpr int panel_vectors = 2;
constexpr int64_t panel_width = panel_vectors * simd<float>::width;
constexpr int tile_users = PYREC_VECTOR_BYTES == 64 ? 12 : 6;
constexpr int short_tile_users = tile_users / 3;
static_assert(topk_panel_multiple % panel_width == 0 && panel_width <= 32);

// How many users a task takes, and how many panels stay in the second-level cache while those users pass.
// Long vectors are cut into slices; the unfinished scores of such a block wait in memory between slices.
constexpr int64_t longest_whole_dim = 512;
constexpr int64_t slice_dim = 256;
constexpr int64_t block_users = 96;
constexpr int64_t block_users_sliced = 48;
constexpr int64_t block_bytes = 1 << 18;
constexpr int64_t block_panels_sliced = 256 / panel_width;

// A score and an item as one number: the better of two entries is the larger number. The bits of a float are
// in the order of their values once the negative ones are turned round, and smaller ids count for more.
PYREC_INLINE uint64_t to_key(float score, int32_t id) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, score + 0.0f);  // -0 becomes 0
  const uint32_t ordered = bits >> 31 != 0 ? ~bits : bits | uint32_t{1} << 31;
  return uint64_t{ordered} << 32 | ~static_cast<uint32_t>(id);
}
PYREC_INLINE float key_score(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __builtin_bit_cast(float, ordered >> 31 != 0 ? ordered ^ uint32_t{1} << 31 : ~ordered);
}
PYREC_INLINE int32_t key_id(uint64_t key) { return static_cast<int32_t>(~static_cast<uint32_t>(key)); }

// A user's k best so far, as a heap with the worst at its root. At first it is k times (-inf, -1).
struct best_list {
  uint64_t* key;  // (k,)
  int64_t k;

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

// A block of users against a run of panels of the segment that is packed.
struct topk_block {
  const topk_args& a;
  int64_t segment;  // candidate that the packed panels start with
  int64_t first_user, last_user;
  int64_t first_panel, last_panel;
  int64_t column, length;  // the slice of the vectors
  int64_t split;
  float* worst;       // (users,) score of each user's k-th best so far
  float* unfinished;  // (users, panels, panel_width) scores of the slices before; or null without slices

  PYREC_INLINE const float* panel(int64_t p) const { return a.panels + (p * a.dim + column) * panel_width; }
  PYREC_INLINE float* unfinished_scores(int64_t user, int64_t p) const {
    return unfinished + ((user - first_user) * (last_panel - first_panel) + p - first_panel) * panel_width;
  }
  PYREC_INLINE bool first_slice() const { return column == 0; }
  PYREC_INLINE bool last_slice() const { return column + length == a.dim; }
};

PYREC_INLINE bool is_seen(const topk_args& a, int64_t user, int32_t id) {
  if (a.seen_indptr == nullptr) return false;
  int64_t low = a.seen_indptr[user];
  int64_t high = a.seen_indptr[user + 1];
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (a.seen_indices[middle] == id) return true;
    if (a.seen_indices[middle] < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

// survivors: a bit for each candidate from `first` on that scored above the user's worst. Candidates come in
// ascending id, so one that only equals the worst is behind it.
__attribute__((noinline)) inline void insert_survivors(const topk_block& b, int64_t user, uint32_t survivors,
                                                       const float* scores, int64_t first) {
  const best_list best = list_of(b.a, b.split, user);
  float& worst = b.worst[user - b.first_user];
  for (; survivors != 0; survivors &= survivors - 1) {
    const int lane = __builtin_ctz(survivors);
    if (!(scores[lane] > worst)) continue;
    const int64_t candidate = first + lane;
    const int32_t id = b.a.allowed != nullptr ? b.a.allowed[candidate] : static_cast<int32_t>(candidate);
    if (is_seen(b.a, user, id)) continue;
    best.put_at_root(best.k, to_key(scores[lane], id));
    worst = key_score(best.key[0]);
  }
}

template <int Rows>
PYREC_INLINE void select_scores(const topk_block& b, int64_t user, int64_t p,
                                const vec<float> (&score)[Rows][panel_vectors]) {
  const int64_t first = b.segment + p * panel_width;
  const int64_t left = b.a.num_candidates - first;
  const uint32_t real =
      left >= panel_width ? ~uint32_t{0} : (uint32_t{1} << left) - 1;  // the rest is padding
  uint32_t survivors[Rows];
  uint32_t any = 0;
  for (int row = 0; row < Rows; ++row) {
    const vec<float> worst = broadcast(b.worst[user + row - b.first_user]);
    survivors[row] = real & (greater_bits(score[row][0], worst) |
                             (greater_bits(score[row][1], worst) << simd<float>::width));
    any |= survivors[row];
  }
  if (any == 0) return;
  float values[Rows][panel_width];
  for (int row = 0; row < Rows; ++row) {
    for (int v = 0; v < panel_vectors; ++v) store(values[row] + v * simd<float>::width, score[row][v]);
  }
  for (int row = 0; row < Rows; ++row) {
    if (survivors[row] != 0) insert_survivors(b, user + row, survivors[row], values[row], first);
  }
}

// users: (length, Rows); panel: (length, panel_width). One chain of sums a score, in ascending order of j.
template <int Rows>
PYREC_INLINE void multiply(const float* users, const float* panel, int64_t length,
                           vec<float> (&score)[Rows][panel_vectors]) {
  for (int64_t j = 0; j < length; ++j) {
    vec<float> item[panel_vectors];
    for (int v = 0; v < panel_vectors; ++v) item[v] = load(panel + j * panel_width + v * simd<float>::width);
    for (int row = 0; row < Rows; ++row) {
      const vec<float> value = broadcast(users[j * Rows + row]);
      for (int v = 0; v < panel_vectors; ++v) score[row][v] += value * item[v];
    }
  }
}

// Users [user, user + Rows) against all panels of the block.
template <int Rows>
void score_tile(const topk_block& b, int64_t user) {
  constexpr int width = simd<float>::width;
  float users[longest_whole_dim * Rows];
  for (int row = 0; row < Rows; ++row) {
    const float* query = b.a.queries + (user + row) * b.a.dim + b.column;
    for (int64_t j = 0; j < b.length; ++j) users[j * Rows + row] = query[j];
  }
  for (int64_t p = b.first_panel; p < b.last_panel; ++p) {
    vec<float> score[Rows][panel_vectors] = {};
    if (!b.first_slice()) {
      for (int row = 0; row < Rows; ++row) {
        for (int v = 0; v < panel_vectors; ++v) {
          score[row][v] = load(b.unfinished_scores(user + row, p) + v * width);
        }
      }
    }
    multiply<Rows>(users, b.panel(p), b.length, score);
    if (b.last_slice()) {
      select_scores<Rows>(b, user, p, score);
    } else {
      for (int row = 0; row < Rows; ++row) {
        for (int v = 0; v < panel_vectors; ++v) {
          store(b.unfinished_scores(user + row, p) + v * width, score[row][v]);
        }
      }
    }
  }
}

inline void score_block(const topk_block& b) {
  int64_t user = b.first_user;
  for (; user + tile_users <= b.last_user; user += tile_users) score_tile<tile_users>(b, user);
  for (; user + short_tile_users <= b.last_user; user += short_tile_users)
    score_tile<short_tile_users>(b, user);
  for (; user < b.last_user; ++user) score_tile<1>(b, user);
}

// The block's panels, as many at a time as the cache holds.
inline void search_whole(topk_block b) {
  const int64_t end = b.last_panel;
  const int64_t panel_bytes = b.a.dim * panel_width * static_cast<int64_t>(sizeof(float));
  const int64_t step = panel_bytes < block_bytes ? block_bytes / panel_bytes : 1;
  for (; b.first_panel < end; b.first_panel = b.last_panel) {
    b.last_panel = b.first_panel + step < end ? b.first_panel + step : end;
    score_block(b);
  }
}

inline void search_sliced(topk_block b) {
  float unfinished[block_users_sliced * block_panels_sliced * panel_width];
  b.unfinished = unfinished;
  const int64_t end = b.last_panel;
  for (; b.first_panel < end; b.first_panel = b.last_panel) {
    b.last_panel = b.first_panel + block_panels_sliced < end ? b.first_panel + block_panels_sliced : end;
    for (b.column = 0; b.column < b.a.dim; b.column += b.length) {
      const int64_t left = b.a.dim - b.column;
      b.length = left < slice_dim ? left : slice_dim;
      score_block(b);
    }
  }
}

// Candidates from `first` on into a panel; behind the last one it is repeated.
inline void pack_panel(const topk_args& a, int64_t first, float* panel) {
  const float* item[panel_width];
  for (int64_t lane = 0; lane < panel_width; ++lane) {
    const int64_t candidate = first + lane < a.num_candidates ? first + lane : a.num_candidates - 1;
    item[lane] = a.items + (a.allowed != nullptr ? a.allowed[candidate] : candidate) * a.dim;
  }
  for (int64_t j = 0; j < a.dim; ++j) {
    for (int64_t lane = 0; lane < panel_width; ++lane) panel[j * panel_width + lane] = item[lane][j];
  }
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

// Packs the candidates from `segment` on and shows them to all users.
inline void search_segment(const topk_args& a, int64_t segment) {
  const int64_t left = a.num_candidates - segment;
  const int64_t packed = left < a.panel_rows ? left : a.panel_rows;
  const int64_t num_panels = (packed + panel_width - 1) / panel_width;
  constexpr int64_t panels_per_task = 16;
  parallel_for((num_panels + panels_per_task - 1) / panels_per_task, [&](int64_t task) {
    for (int64_t p = task * panels_per_task; p < (task + 1) * panels_per_task && p < num_panels; ++p) {
      pack_panel(a, segment + p * panel_width, a.panels + p * panel_width * a.dim);
    }
  });

  const bool whole = a.dim <= longest_whole_dim;
  const int64_t most = whole ? block_users : block_users_sliced;
  const int64_t num_blocks = (a.num_queries + most - 1) / most;
  const int64_t even = (a.num_queries + num_blocks - 1) / num_blocks;
  const int64_t users = (even + tile_users - 1) / tile_users * tile_users;
  parallel_for(num_blocks * a.num_splits, [&](int64_t task) {
    const int64_t split = task % a.num_splits;
    const int64_t first_user = task / a.num_splits * users;
    const int64_t last_user = first_user + users < a.num_queries ? first_user + users : a.num_queries;
    float worst[block_users];
    for (int64_t user = first_user; user < last_user; ++user) {
      worst[user - first_user] = key_score(list_of(a, split, user).key[0]);
    }
    const topk_block block{.a = a,
                           .segment = segment,
                           .first_user = first_user,
                           .last_user = last_user,
                           .first_panel = num_panels * split / a.num_splits,
                           .last_panel = num_panels * (split + 1) / a.num_splits,
                           .column = 0,
                           .length = a.dim,
                           .split = split,
                           .worst = worst,
                           .unfinished = nullptr};
    whole ? search_whole(block) : search_sliced(block);
  });
}

inline void topk_search(const topk_args& a) {
  if (a.num_queries == 0) return;
  const uint64_t nothing = to_key(-__builtin_inff(), -1);
  for (int64_t i = 0; i < a.num_splits * a.num_queries * a.k; ++i) a.keys[i] = nothing;
  for (int64_t segment = 0; segment < a.num_candidates; segment += a.panel_rows) search_segment(a, segment);
  constexpr int64_t users_per_task = 64;
  parallel_for((a.num_queries + users_per_task - 1) / users_per_task, [&](int64_t task) {
    const int64_t last = (task + 1) * users_per_task;
    for (int64_t user = task * users_per_task; user < last && user < a.num_queries; ++user) {
      finish_list(a, user);
    }
  });
}

}  // namespace pyrec::PYREC_ISA
