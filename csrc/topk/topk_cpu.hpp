#pragma once
#include "common/parallel.hpp"
#include "topk/search_coded_cpu.hpp"
#include "topk/select_cpu.hpp"
#include "topk/tile_cpu.hpp"

namespace pyrec::PYREC_ISA {

// Long vectors are cut into slices; the unfinished scores of such a block wait in memory between slices: 48 KB,
// for half the users.
constexpr int64_t longest_whole_dim = 512;
constexpr int64_t slice_dim = 256;
constexpr int64_t block_users_sliced = topk_block_users / 2;
constexpr int64_t block_panels_sliced = topk_sliced_rows / panel_width;
constexpr int64_t task_blocks = 4;  // blocks that the candidates are packed for, so that packing costs little
static_assert(topk_block_users % tile_users == 0 && block_users_sliced % tile_users == 0);

// Some users against one split of the candidates.
struct topk_task {
  const topk_args& a;
  int64_t first_user, last_user;
  int64_t split;
  int32_t largest;  // bits of the largest magnitude of the items so far
};

// A block of users against the panels of the run that is packed.
struct topk_block {
  const topk_args& a;
  const float* panels;
  int64_t run;  // candidate that the packed panels start with
  int64_t first_user, last_user;
  int64_t first_panel, last_panel;
  int64_t column, length;  // the slice of the vectors
  int64_t split;
  float* worst;       // (users,) score of each user's k-th best so far
  float* unfinished;  // (users, panels, panel_width) scores of the slices before; or null without slices

  PYREC_INLINE const float* panel(int64_t p) const { return panels + (p * a.dim + column) * panel_width; }
  PYREC_INLINE float* unfinished_scores(int64_t user, int64_t p) const {
    return unfinished + ((user - first_user) * (last_panel - first_panel) + p - first_panel) * panel_width;
  }
  PYREC_INLINE bool first_slice() const { return column == 0; }
  PYREC_INLINE bool last_slice() const { return column + length == a.dim; }
};

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
    best.offer(b.a, user, scores[lane], id);
    worst = best.worst();
  }
}

template <int Rows>
PYREC_INLINE void select_scores(const topk_block& b, int64_t user, int64_t p,
                                const vec<float> (&score)[Rows][panel_vectors]) {
  const int64_t first = b.run + p * panel_width;
  const uint32_t real = real_lanes(b.a.num_candidates - first);
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

// Users [user, user + Rows) against all panels of the block.
template <int Rows>
void score_tile(const topk_block& b, int64_t user) {
  constexpr int width = simd<float>::width;
  float users[longest_whole_dim * Rows];
  interleave_rows<Rows>(b.a.queries + user * b.a.dim + b.column, b.a.dim, b.length, users);
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
  for_tiles(b.first_user, b.last_user, [&]<int Rows>(int64_t user) { score_tile<Rows>(b, user); });
}

// The block's panels, as many at a time as the cache holds.
inline void search_whole(topk_block b) {
  const int64_t end = b.last_panel;
  const int64_t panel_bytes = b.a.dim * panel_width * static_cast<int64_t>(sizeof(float));
  const int64_t step = panel_bytes < b.a.block_bytes ? b.a.block_bytes / panel_bytes : 1;
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

// The rows of a panel of candidates from `first` on; behind the last one it is repeated.
struct panel_rows {
  const float* item[panel_width];
  const float* next;  // the rows behind, where they follow in memory

  PYREC_INLINE panel_rows(const topk_args& a, int64_t first) {
    for (int64_t lane = 0; lane < panel_width; ++lane) {
      const int64_t candidate = first + lane < a.num_candidates ? first + lane : a.num_candidates - 1;
      item[lane] = a.items + (a.allowed != nullptr ? a.allowed[candidate] : candidate) * a.dim;
    }
    next = a.allowed == nullptr ? item[0] + panel_width * a.dim : nullptr;
  }
};

// Shows the packed candidates to all users of a task.
inline void search_run(const topk_task& t, const float* panels, int64_t run, int64_t num_panels) {
  const topk_args& a = t.a;
  const bool whole = a.dim <= longest_whole_dim;
  const int64_t most = whole ? topk_block_users : block_users_sliced;
  for (int64_t first = t.first_user; first < t.last_user; first += most) {
    const int64_t last = first + most < t.last_user ? first + most : t.last_user;
    float worst[topk_block_users];
    for (int64_t user = first; user < last; ++user) worst[user - first] = list_of(a, t.split, user).worst();
    const topk_block block{.a = a,
                           .panels = panels,
                           .run = run,
                           .first_user = first,
                           .last_user = last,
                           .first_panel = 0,
                           .last_panel = num_panels,
                           .column = 0,
                           .length = a.dim,
                           .split = t.split,
                           .worst = worst,
                           .unfinished = nullptr};
    whole ? search_whole(block) : search_sliced(block);
  }
}

// Looks at the numbers of panel p, in the order of memory, which has them in the first-level cache before
// they are turned.
inline void look_at(topk_task& t, int64_t p) {
  if (t.a.largest == nullptr) return;
  const int64_t first = p * panel_width;
  const int64_t left = t.a.num_candidates - first;
  const int64_t rows = left < panel_width ? left : panel_width;
  const int32_t bits = largest_bits(t.a.items + first * t.a.dim, rows * t.a.dim);
  t.largest = bits > t.largest ? bits : t.largest;
}

// Packs panels [first, first + count) of the candidates and shows them to the task's users.
inline void pack_run(topk_task& t, int64_t first, int64_t count, float* panels) {
  const int64_t dim = t.a.dim;
  for (int64_t p = 0; p < count; ++p) {
    look_at(t, first + p);
    const panel_rows rows(t.a, (first + p) * panel_width);
    pack_rows(rows.item, dim, panels + p * panel_width * dim, rows.next);
  }
  search_run(t, panels, first * panel_width, count);
}

// For a single user nothing is packed: the same sums, of columns that are multiplied as soon as they are
// there.
inline void search_panel(topk_task& t, int64_t p) {
  const topk_args& a = t.a;
  look_at(t, p);
  const float* query = a.queries + t.first_user * a.dim;
  const panel_rows rows(a, p * panel_width);
  vec<float> score[1][panel_vectors] = {};
  for_columns(rows.item, a.dim, rows.next, [&](int64_t j, int v, vec<float> numbers) {
    score[0][v] = multiply_add(broadcast(query[j]), numbers, score[0][v]);
  });
  float worst = list_of(a, t.split, t.first_user).worst();
  const topk_block block{.a = a,
                         .panels = nullptr,
                         .run = p * panel_width,
                         .first_user = t.first_user,
                         .last_user = t.last_user,
                         .first_panel = 0,
                         .last_panel = 1,
                         .column = 0,
                         .length = a.dim,
                         .split = t.split,
                         .worst = &worst,
                         .unfinished = nullptr};
  select_scores<1>(block, t.first_user, 0, score);
}

// The split's candidates, a run of panels at a time, which stays in the cache while the users pass.
inline void search_split(topk_task& t, float* panels) {
  const topk_args& a = t.a;
  const int64_t num_panels = ceil_div(a.num_candidates, panel_width);
  const int64_t end = num_panels * (t.split + 1) / a.num_splits;
  const bool alone = t.last_user - t.first_user == 1;
  const int64_t most = alone ? 1 : a.panel_rows / panel_width;
  for (int64_t first = num_panels * t.split / a.num_splits; first < end; first += most) {
    alone ? search_panel(t, first) : pack_run(t, first, end - first < most ? end - first : most, panels);
  }
  if (a.largest != nullptr && t.first_user == 0) a.largest[t.split] = static_cast<uint32_t>(t.largest);
}

// Users are parted so that a task packs for many of them, and that every worker has as many tasks.
inline void search_packed(const topk_args& a) {
  const int64_t blocks = ceil_div(a.num_queries, topk_block_users);
  const int64_t even = rounded_up(ceil_div(blocks, task_blocks), a.num_workers);
  const int64_t parts = even < blocks ? even : blocks;
  const int64_t users = rounded_up(ceil_div(a.num_queries, parts), tile_users);
  parallel_for_workers(parts * a.num_splits, static_cast<int>(a.num_workers), [&](int64_t i, int worker) {
    const int64_t first = i / a.num_splits * users;
    const int64_t last = first + users < a.num_queries ? first + users : a.num_queries;
    if (first >= last) return;
    topk_task task{.a = a, .first_user = first, .last_user = last, .split = i % a.num_splits, .largest = 0};
    search_split(task, a.panels + worker * a.panel_rows * a.dim);
  });
}

inline void topk_search(const topk_args& a) {
  if (a.num_queries == 0) return;
  for (int64_t i = 0; i < a.num_splits * a.num_queries * a.k; ++i) a.keys[i] = empty_key;
#ifdef __AVX512VNNI__
  if (a.codes != nullptr) {
    for (int64_t segment = 0; segment < a.num_candidates; segment += a.panel_rows) scan_segment(a, segment);
  }
#endif
  if (a.panels != nullptr) search_packed(a);
  constexpr int64_t users_per_task = 64;
  parallel_ranges(a.num_queries, users_per_task, [&](int64_t first, int64_t last) {
    for (int64_t user = first; user < last; ++user) finish_list(a, user);
  });
}

#ifdef __AVX512VNNI__
constexpr bool has_codes = true;
#else
constexpr bool has_codes = false;
#endif

}  // namespace pyrec::PYREC_ISA
