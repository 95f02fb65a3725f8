#pragma once
// The search by codes: it multiplies codes of 8 bits, four products an instruction and lane, and computes the
// score of those candidates alone whose bound (codes_cpu.hpp) reaches the user's k-th best. Candidates with
// long vectors come first, so that lists are good early and panels at the end may be passed over. Their order
// decides what is computed, never a list: keys are in a total order.
#include "common/parallel.hpp"
#include "topk/codes_cpu.hpp"
#include "topk/select_cpu.hpp"
#include "topk/tile_cpu.hpp"

#ifdef __AVX512VNNI__
namespace pyrec::PYREC_ISA {

// bench/NOTES.md tells where each number is from.
constexpr int64_t scan_users = topk_block_users;  // of a task
constexpr int64_t most_waiting = 8;               // candidates of a user that wait for their scores
constexpr int64_t probe_panels = 16;              // after which it is known whether codes pay
constexpr int64_t seeds_per_place = 8;  // candidates that are scored outright for each place in a list
constexpr int64_t worth_codes = 16;     // codes pay where fewer than one candidate in so many is scored

struct scan_task {
  explicit scan_task(const topk_args& args) : a(args) {}

  const topk_args& a;
  int64_t first_user, num_users;
  int64_t num_rows;  // candidates of the segment
  int64_t computed;  // scores, of the candidates last scanned
  double worst[scan_users];
  double norm[scan_users];           // |q|, and as much more as a rounded score may be above |q| |x|
  double code_norm[scan_users];      // |r a|
  double rest_norm[scan_users];      // |e| + dim 2^-23 |q|
  double inverse_scale[scan_users];  // 1/r
  int32_t offset[scan_users];        // a.(c - b)
  int32_t num_waiting[scan_users];
  int32_t waiting[scan_users][most_waiting];
  uint32_t code[scan_users * (code_dim / 4)];  // (users, words)
};

inline void encode_users(scan_task& t) {
  const int64_t words = words_of(t.a.dim);
  const double rounding = static_cast<double>(t.a.dim) * 0x1p-23;
  for (int64_t u = 0; u < t.num_users; ++u) {
    const float* query = t.a.queries + (t.first_user + u) * t.a.dim;
    t.inverse_scale[u] = inverse_scale(largest_magnitude(query, t.a.dim));
    const code_norms user = encode(query, t.a.dim, t.inverse_scale[u], t.code + u * words);
    t.norm[u] = user.norm * (1.0 + rounding);
    t.code_norm[u] = user.code_norm;
    t.rest_norm[u] = user.rest_norm + rounding * user.norm;
    t.offset[u] = unsigned_offset * user.sum;
    t.worst[u] = static_cast<double>(list_of(t.a, 0, t.first_user + u).worst());
    t.num_waiting[u] = 0;
  }
}

// The scores of `most_waiting` items side by side, each the sum of `multiply`.
PYREC_INLINE void score_waiting(const topk_args& a, const float* query, const int32_t* id, float* score) {
  const float* item[most_waiting];
  float sum[most_waiting] = {};
  for (int r = 0; r < most_waiting; ++r) item[r] = a.items + id[r] * a.dim;
  for (int64_t j = 0; j < a.dim; ++j) {
    for (int r = 0; r < most_waiting; ++r) sum[r] = multiply_add(query[j], item[r][j], sum[r]);
  }
  for (int r = 0; r < most_waiting; ++r) score[r] = sum[r];
}

// Offers the waiting candidates to the user's list.
__attribute__((noinline)) inline void settle(scan_task& t, int64_t u) {
  const int32_t count = t.num_waiting[u];
  if (count == 0) return;
  int32_t* id = t.waiting[u];
  for (int64_t i = count; i < most_waiting; ++i) id[i] = id[0];
  float score[most_waiting];
  const int64_t user = t.first_user + u;
  score_waiting(t.a, t.a.queries + user * t.a.dim, id, score);
  const best_list best = list_of(t.a, 0, user);
  for (int32_t i = 0; i < count; ++i) best.offer(t.a, user, score[i], id[i]);
  t.worst[u] = static_cast<double>(best.worst());
  t.num_waiting[u] = 0;
}

PYREC_INLINE void wait(scan_task& t, int64_t u, int64_t first, uint32_t lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int32_t id = t.a.order[first + __builtin_ctz(lanes)];
    const char* item = reinterpret_cast<const char*>(t.a.items + id * t.a.dim);
    for (int64_t byte = 0; byte < t.a.dim * 4; byte += 64) __builtin_prefetch(item + byte);
    t.waiting[u][t.num_waiting[u]++] = id;
    ++t.computed;
    if (t.num_waiting[u] == most_waiting) settle(t, u);
  }
}

// Bit l is set where lane l is 0 or more.
PYREC_INLINE uint32_t positive_bits(vec<int32_t> a) {
  return static_cast<uint16_t>(~_mm512_movepi32_mask((__m512i)a));
}

// The least a.c that may belong to a score of `worst`, or up to two less; false where no score in the panel
// is so large by |q| |x| alone.
template <int Rows>
PYREC_INLINE bool find_limits(const scan_task& t, int64_t u, const topk_panel_bounds& panel,
                              int32_t (&limit)[Rows]) {
  constexpr double beyond = 1 << 26;  // any a.b
  const double tiny = static_cast<double>(t.a.dim) * 0x1p-126;
  int32_t any = 0;
  for (int row = 0; row < Rows; ++row) {
    const double worst = t.worst[u + row] - tiny;
    const double error =
        multiply_add(t.code_norm[u + row], panel.rest_norm, t.rest_norm[u + row] * panel.norm);
    const double least = (worst - error) * (t.inverse_scale[u + row] * panel.inverse_scale);
    const double low = least > -beyond ? least : -beyond;
    limit[row] = static_cast<int32_t>(low < beyond ? low : beyond) - 2 + t.offset[u + row];
    any |= static_cast<int32_t>(t.norm[u + row] * panel.norm >= worst);
  }
  return any != 0;
}

template <int Rows>
PYREC_INLINE void scan_panel(scan_task& t, int64_t u, const uint32_t* users, int64_t p) {
  constexpr int width = simd<float>::width;
  int32_t limit[Rows];
  if (!find_limits(t, u, t.a.bounds[p], limit)) return;
  vec<int32_t> above[Rows][panel_vectors];
  for (int row = 0; row < Rows; ++row) {
    for (int v = 0; v < panel_vectors; ++v) above[row][v] = vec<int32_t>{} - limit[row];
  }
  const int64_t words = words_of(t.a.dim);
  const uint32_t* panel = t.a.codes + p * words * panel_width;
  for (int64_t j = 0; j < words; ++j) {
    __m512i item[panel_vectors];
    for (int v = 0; v < panel_vectors; ++v) item[v] = _mm512_loadu_si512(panel + j * panel_width + v * width);
    for (int row = 0; row < Rows; ++row) {
      const __m512i code = _mm512_set1_epi32(static_cast<int32_t>(users[j * Rows + row]));
      for (int v = 0; v < panel_vectors; ++v) {
        above[row][v] = (vec<int32_t>)_mm512_dpbusd_epi32((__m512i)above[row][v], item[v], code);
      }
    }
  }
  vec<int32_t> all = above[0][0];
  for (int row = 0; row < Rows; ++row) {
    for (int v = 0; v < panel_vectors; ++v) all &= above[row][v];
  }
  if (positive_bits(all) == 0) return;
  const int64_t first = p * panel_width;
  const uint32_t real = real_lanes(t.num_rows - first);
  uint32_t lanes[Rows];
  for (int row = 0; row < Rows; ++row) {
    lanes[row] = real & (positive_bits(above[row][0]) | positive_bits(above[row][1]) << width);
  }
  for (int row = 0; row < Rows; ++row) {
    if (lanes[row] != 0) wait(t, u + row, first, lanes[row]);
  }
}

inline void scan_panels(scan_task& t, int64_t first, int64_t last) {
  for_tiles(0, t.num_users, [&]<int Rows>(int64_t u) {
    uint32_t users[code_dim / 4 * Rows];
    const int64_t words = words_of(t.a.dim);
    interleave_rows<Rows>(t.code + u * words, words, words, users);
    for (int64_t p = first; p < last; ++p) scan_panel<Rows>(t, u, users, p);
  });
}

// All scores of a panel, where many candidates can be expected to reach the lists.
template <int Rows>
PYREC_INLINE void score_panel(scan_task& t, int64_t u, const float* users, const float* panel, int64_t p) {
  constexpr int width = simd<float>::width;
  vec<float> score[Rows][panel_vectors] = {};
  multiply<Rows>(users, panel, t.a.dim, score);
  const uint32_t real = real_lanes(t.num_rows - p * panel_width);
  for (int row = 0; row < Rows; ++row) {
    const vec<float> worst = broadcast(static_cast<float>(t.worst[u + row]));
    uint32_t lanes =
        real & ~(greater_bits(worst, score[row][0]) | greater_bits(worst, score[row][1]) << width);
    if (lanes == 0) continue;
    float values[panel_width];
    for (int v = 0; v < panel_vectors; ++v) store(values + v * width, score[row][v]);
    const int64_t user = t.first_user + u + row;
    const best_list best = list_of(t.a, 0, user);
    for (; lanes != 0; lanes &= lanes - 1) {
      const int lane = __builtin_ctz(lanes);
      best.offer(t.a, user, values[lane], t.a.order[p * panel_width + lane]);
    }
    t.worst[u + row] = static_cast<double>(best.worst());
  }
}

inline void score_panels(scan_task& t, int64_t first, int64_t last) {
  float panel[code_dim * panel_width];
  const int64_t step = code_dim / t.a.dim;
  for (int64_t start = first; start < last; start += step) {
    const int64_t end = start + step < last ? start + step : last;
    for (int64_t p = start; p < end; ++p) {
      const float* item[panel_width];
      for (int64_t lane = 0; lane < panel_width; ++lane) {
        item[lane] = t.a.items + t.a.order[p * panel_width + lane] * t.a.dim;
      }
      pack_rows(item, t.a.dim, panel + (p - start) * t.a.dim * panel_width);
    }
    for_tiles(0, t.num_users, [&]<int Rows>(int64_t u) {
      float users[code_dim * Rows];
      interleave_rows<Rows>(t.a.queries + (t.first_user + u) * t.a.dim, t.a.dim, t.a.dim, users);
      for (int64_t p = start; p < end; ++p) {
        score_panel<Rows>(t, u, users, panel + (p - start) * t.a.dim * panel_width, p);
      }
    });
  }
}

inline void settle_all(scan_task& t) {
  for (int64_t u = 0; u < t.num_users; ++u) settle(t, u);
}

// Scores the first candidates and scans the others. Where a scan does not pay, as many again are scored as
// came before, which makes the lists better, or at the worst (all are ties) costs a few scans in vain.
inline void search_task(scan_task& t) {
  const int64_t num_panels = ceil_div(t.num_rows, panel_width);
  const int64_t most = t.a.block_bytes / (words_of(t.a.dim) * 4 * panel_width);
  const auto end = [&](int64_t panel) { return panel < num_panels ? panel : num_panels; };
  int64_t first = end(ceil_div(seeds_per_place * t.a.k, panel_width));
  score_panels(t, 0, first);
  for (int64_t step = probe_panels; first < num_panels; step = 2 * step < most ? 2 * step : most) {
    int64_t last = end(first + step);
    t.computed = 0;
    scan_panels(t, first, last);
    if (t.computed * worth_codes > (last - first) * panel_width * t.num_users) {
      settle_all(t);
      first = last;
      last = end(2 * first);
      score_panels(t, first, last);
      step = probe_panels / 2;
    }
    first = last;
  }
  settle_all(t);
}

inline void scan_segment(const topk_args& a, int64_t segment) {
  const int64_t left = a.num_candidates - segment;
  const int64_t num_rows = left < a.panel_rows ? left : a.panel_rows;
  const int64_t num_panels = ceil_div(num_rows, panel_width);
  sort_by_length(a, segment, num_rows);
  constexpr int64_t panels_per_task = 16;
  parallel_ranges(num_panels, panels_per_task, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) encode_panel(a, p, num_rows);
  });
  parallel_ranges(a.num_queries, scan_users, [&](int64_t first, int64_t last) {
    scan_task t(a);
    t.first_user = first;
    t.num_users = last - first;
    t.num_rows = num_rows;
    encode_users(t);
    search_task(t);
  });
}

}  // namespace pyrec::PYREC_ISA
#endif
