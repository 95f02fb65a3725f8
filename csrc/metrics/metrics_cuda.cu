// A warp takes a user: its lanes look up 32 ranks side by side, then all go through the few hits in their
// order, so that sums are the CPU's. Item counts are integers, which atomics add up in any order.
//
// Nobody has looked into arrays on a device before: what the binding checks of the CPU's, these kernels check
// on the way, and note.
#include "common/cuda_block.cuh"
#include "metrics/metric_sums.hpp"
#include "metrics/metrics.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;
constexpr int32_t most_items = INT32_MAX;

// ids: (list_size,) of a user
__device__ __forceinline__ bool bad_id(const int32_t* ids, int64_t rank, int64_t num_items) {
  return ids[rank] < -1 || ids[rank] >= num_items || (rank > 0 && ids[rank] >= 0 && ids[rank - 1] < 0);
}

struct test_items {
  const int32_t* first;
  const int32_t* last;
};

// None, and noted, where the row pointers are wrong.
__device__ __forceinline__ test_items test_items_of(const metrics_args& a, int64_t user) {
  const int64_t begin = a.test_indptr[user];
  const int64_t end = a.test_indptr[user + 1];
  const bool bad_end = user == 0 ? begin != 0 : begin < 0;
  if (bad_end || end < begin || (user == a.num_queries - 1 ? end != a.num_test : end > a.num_test)) {
    *a.bad = true;
    return {nullptr, nullptr};
  }
  return {a.test_indices + begin, a.test_indices + end};
}

__device__ __forceinline__ void check_test_items(const metrics_args& a, const test_items& test, int lane) {
  const int64_t count = test.last - test.first;
  for (int64_t i = lane; i < count; i += warp) {
    const int32_t item = test.first[i];
    if (item < 0 || item == most_items || (i > 0 && test.first[i - 1] >= item)) *a.bad = true;
  }
}

// Adds the hits of `found`, ranks first + 1 to first + 32, that are below rank `end`.
__device__ __forceinline__ void add_hits(const metrics_args& a, unsigned& found, int64_t first, int64_t end,
                                         metric_sums& sums) {
  while (found != 0) {
    const int64_t rank = first + __ffs(static_cast<int>(found)) - 1;
    if (rank >= end) return;
    sums.add_hit(rank + 1, a.discount[rank]);
    found &= found - 1;
  }
}

__global__ void __launch_bounds__(threads) rank_users(const metrics_args a) {
  const int64_t user = grid_thread() / warp;
  const int lane = static_cast<int>(threadIdx.x) % warp;
  if (user >= a.num_queries) return;
  const int32_t* ids = a.ids + user * a.list_size;
  const test_items test = test_items_of(a, user);
  check_test_items(a, test, lane);
  double* out = a.out + user * a.num_cutoffs * num_metrics;
  metric_sums sums;
  int64_t c = 0;
  for (int64_t first = 0; first < a.list_size; first += warp) {
    const int64_t rank = first + lane;
    const bool inside = rank < a.list_size;
    if (inside && bad_id(ids, rank, most_items)) *a.bad = true;
    unsigned found = __ballot_sync(all_lanes, inside && contains(test.first, test.last, ids[rank]));
    for (; c < a.num_cutoffs && a.cutoffs[c] <= first + warp; ++c) {
      add_hits(a, found, first, a.cutoffs[c], sums);
      if (lane == 0 && test.first != test.last) {
        sums.write(a.cutoffs[c], test.last - test.first, a.best_gains, out + c * num_metrics);
      }
    }
    add_hits(a, found, first, first + warp, sums);
  }
  if (test.first != test.last) return;
  for (int64_t i = lane; i < a.num_cutoffs * num_metrics; i += warp) {
    out[i] = __longlong_as_double(0x7FF8000000000000);  // NaN
  }
}

void ranking_metrics(const metrics_args& a) {
  if (a.num_queries == 0) return;
  LAUNCH(rank_users, blocks_for(a.num_queries, threads / warp), threads, 0, a.stream, a);
}

// An id counts once, in the first cut-off that holds its rank; running sums over the cut-offs do the rest.
__global__ void __launch_bounds__(threads) count_ids(const item_counts_args a) {
  const int64_t at = grid_thread();
  if (at >= a.num_queries * a.list_size) return;
  const int64_t rank = at % a.list_size;
  const int32_t* ids = a.ids + (at - rank);
  if (bad_id(ids, rank, a.num_items)) {
    *a.bad = true;
    return;
  }
  if (ids[rank] < 0) return;
  int64_t c = 0;
  while (c < a.num_cutoffs && a.cutoffs[c] <= rank) ++c;
  if (c == a.num_cutoffs) return;
  auto* count = reinterpret_cast<unsigned long long*>(a.counts + c * a.num_items + ids[rank]);
  atomicAdd(count, 1ULL);
}

__global__ void __launch_bounds__(threads) sum_counts(const item_counts_args a) {
  const int64_t item = grid_thread();
  if (item >= a.num_items) return;
  int64_t sum = 0;
  for (int64_t c = 0; c < a.num_cutoffs; ++c) {
    int64_t& count = a.counts[c * a.num_items + item];
    sum += count;
    count = sum;
  }
}

void item_counts(const item_counts_args& a) {
  const auto bytes = static_cast<size_t>(a.num_cutoffs * a.num_items) * sizeof(int64_t);
  check(cudaMemsetAsync(a.counts, 0, bytes, static_cast<cudaStream_t>(a.stream)),
        "cudaMemsetAsync of counts");
  const int64_t ids = a.num_queries * a.list_size;
  if (ids > 0) LAUNCH(count_ids, blocks_for(ids, threads), threads, 0, a.stream, a);
  if (a.num_items > 0) LAUNCH(sum_counts, blocks_for(a.num_items, threads), threads, 0, a.stream, a);
}

}  // namespace

metrics_kernels metrics() {
  return {.checks_input = true, .ranking = ranking_metrics, .item_counts = item_counts};
}

}  // namespace pyrec::cuda
