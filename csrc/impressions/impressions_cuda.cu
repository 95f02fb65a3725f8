// A warp takes an impression. Its lanes gather the clicked scores, and put each where as many are before it; then they
// count the candidates of each group by integer atomics, which any order adds up. One lane goes through the groups,
// so that sums are the CPU's. The order of P clicked scores takes P^2 comparisons.
//
// Nobody has looked into arrays on a device before: what the binding checks of the CPU's, these kernels check
// on the way, and note.
#include "common/cuda_block.cuh"
#include "impressions/impression_sums.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;

struct candidates {
  int64_t first;
  int64_t count;
};

// None, and noted, where the row pointers are wrong.
template <class T>
__device__ __forceinline__ candidates candidates_of(const impressions_args<T>& a, int64_t impression) {
  const int64_t begin = a.indptr[impression];
  const int64_t end = a.indptr[impression + 1];
  const bool bad_begin = impression == 0 ? begin != 0 : begin < 0;
  const bool is_last = impression == a.num_impressions - 1;
  if (bad_begin || end < begin || (is_last ? end != a.num_candidates : end > a.num_candidates)) {
    *a.bad = true;
    return {0, 0};
  }
  return {begin, end - begin};
}

__device__ __forceinline__ int ones_before(unsigned found, int lane) {
  return __popc(found & ((1U << lane) - 1));
}

// The number of clicked ones, whose scores are in groups.gathered afterwards.
template <class T>
__device__ __forceinline__ int64_t gather_clicked(const impressions_args<T>& a, const candidates& of,
                                                  const impression_groups<T>& groups, int lane) {
  int64_t gathered = 0;
  for (int64_t first = 0; first < of.count; first += warp) {
    const int64_t i = of.first + first + lane;
    const bool inside = first + lane < of.count;
    const T score = inside ? a.scores[i] : T(0);
    const bool is_number = score == score;
    if (!is_number) *a.bad = true;
    const bool clicked = inside && a.clicks[i] != 0;
    const unsigned found = __ballot_sync(all_lanes, clicked);
    if (clicked) groups.gathered[gathered + ones_before(found, lane)] = is_number ? score : T(0);
    gathered += __popc(found);
  }
  __syncwarp();
  return gathered;
}

// groups.score: (num_clicks,) of groups.gathered, falling
template <class T>
__device__ __forceinline__ void sort_clicked(const impression_groups<T>& groups, int64_t num_clicks,
                                             int lane) {
  for (int64_t i = lane; i < num_clicks; i += warp) {
    const T score = groups.gathered[i];
    int64_t place = 0;
    for (int64_t j = 0; j < num_clicks; ++j) {
      const T other = groups.gathered[j];
      place += other > score || (other == score && j < i) ? 1 : 0;
    }
    groups.score[place] = score;
  }
  __syncwarp();
}

// The number of groups; their scores are in groups.gathered afterwards, and all counts 0.
template <class T>
__device__ __forceinline__ int64_t make_groups(const impression_groups<T>& groups, int64_t num_clicks,
                                               int lane) {
  int64_t count = 0;
  for (int64_t first = 0; first < num_clicks; first += warp) {
    const int64_t i = first + lane;
    const bool starts = i < num_clicks && (i == 0 || groups.score[i] != groups.score[i - 1]);
    const unsigned found = __ballot_sync(all_lanes, starts);
    if (starts) {
      const int64_t g = count + ones_before(found, lane);
      groups.gathered[g] = groups.score[i];
      groups.clicked[g] = groups.tied[g] = groups.between[g] = 0;
    }
    count += __popc(found);
  }
  __syncwarp();
  return count;
}

template <class T>
__device__ __forceinline__ void count_candidates(const impressions_args<T>& a, const candidates& of,
                                                 const impression_groups<T>& groups, int64_t num_groups,
                                                 int lane) {
  for (int64_t i = of.first + lane; i < of.first + of.count; i += warp) {
    const T score = a.scores[i];
    const int64_t g = groups_above(groups.gathered, num_groups, score);
    if (g == num_groups) continue;
    if (groups.gathered[g] == score) {
      atomicAdd(groups.tied + g, 1);
      if (a.clicks[i] != 0) atomicAdd(groups.clicked + g, 1);
    } else {
      atomicAdd(groups.between + g, 1);
    }
  }
  __syncwarp();
}

template <class T>
__global__ void __launch_bounds__(threads)
    rank_impressions(const impressions_args<T> a, const impression_groups<T> of_all) {
  const int64_t impression = grid_thread() / warp;
  const int lane = static_cast<int>(threadIdx.x) % warp;
  if (impression >= a.num_impressions) return;
  const candidates of = candidates_of(a, impression);
  const impression_groups<T> groups = of_all.from(of.first);
  const int64_t num_clicks = gather_clicked(a, of, groups, lane);
  const int64_t width = metrics_without_cutoff + 2 * a.num_cutoffs;
  double* out = a.out + impression * width;
  if (num_clicks == 0 || num_clicks == of.count) {
    for (int64_t i = lane; i < width; i += warp) out[i] = __longlong_as_double(0x7FF8000000000000);  // NaN
    return;
  }
  sort_clicked(groups, num_clicks, lane);
  const int64_t num_groups = make_groups(groups, num_clicks, lane);
  count_candidates(a, of, groups, num_groups, lane);
  if (lane == 0) write_impression(a, groups, num_groups, num_clicks, of.count, out);
}

template <class T>
void impressions(const impressions_args<T>& a) {
  if (a.num_impressions == 0) return;
  buffer_parts parts(a.scratch);
  const impression_groups<T> groups = take_groups<T>(parts, a.num_candidates);
  const auto rank = rank_impressions<T>;
  LAUNCH(rank, blocks_for(a.num_impressions, threads / warp), threads, 0, a.stream, a, groups);
}

}  // namespace

impressions_kernels impressions() {
  return {.checks_input = true, .f32 = impressions<float>, .f64 = impressions<double>};
}

}  // namespace pyrec::cuda
