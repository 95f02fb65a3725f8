#pragma once
// Whether the numbers that a search reads are sound: finite vectors, no score beyond float32, ids in range
// and ascending. Into topk_args.faults, for search and caller: what is wrong, and where, is looked up on the
// CPU.
#include "common/cuda_block.cuh"
#include "topk/topk.hpp"

namespace pyrec::cuda {

namespace {

constexpr int check_threads = 256;
constexpr int check_warps = check_threads / warp;

// Magnitudes as bits are in their order; infinity and NaN come last.
__global__ void __launch_bounds__(check_threads)
    find_largest(const float* values, int64_t count, uint32_t* largest) {
  const int64_t step = int64_t{gridDim.x} * check_threads;
  uint32_t most = 0;
#pragma unroll 4
  for (int64_t i = grid_thread(); i < count; i += step) {
    most = max(most, __float_as_uint(values[i]) & 0x7FFFFFFF);
  }
  most = __reduce_max_sync(all_lanes, most);
  if (threadIdx.x % warp == 0) atomicMax(largest, most);
}

__global__ void check_largest(const topk_args a) {
  const double query = __uint_as_float(a.faults[topk_largest_query]);
  const double item = __uint_as_float(a.faults[topk_largest_item]);
  constexpr double float_max = 3.4028234663852886e38;
  if (!(static_cast<double>(a.dim) * query * item <= float_max)) atomicOr(&a.faults[topk_unsound], 1);
}

// A warp takes a row.
__global__ void __launch_bounds__(check_threads) check_seen(const topk_args a) {
  const int64_t row = int64_t{blockIdx.x} * check_warps + threadIdx.x / warp;
  bool wrong = a.seen_indptr[0] != 0 || a.seen_indptr[a.num_queries] != a.num_seen;
  if (row < a.num_queries) {
    const int64_t begin = a.seen_indptr[row];
    const int64_t end = a.seen_indptr[row + 1];
    wrong = wrong || begin < 0 || end < begin || end > a.num_seen;
    for (int64_t i = begin + threadIdx.x % warp; !wrong && i < end; i += warp) {
      const int32_t id = a.seen_indices[i];
      wrong = id < 0 || id >= a.num_items || (i > begin && a.seen_indices[i - 1] >= id);
    }
  }
  if (wrong) atomicOr(&a.faults[topk_unsound], 1);
}

__global__ void __launch_bounds__(check_threads) check_allowed(const topk_args a) {
  const int64_t i = grid_thread();
  if (i >= a.num_candidates) return;
  const int32_t id = a.allowed[i];
  const bool wrong = id < 0 || id >= a.num_items || (i > 0 && a.allowed[i - 1] >= id);
  if (wrong) atomicOr(&a.faults[topk_unsound], 1);
}

inline void start_find_largest(const topk_args& a, const float* values, int64_t count, int word) {
  if (count == 0) return;
  constexpr int64_t of_a_block = 16 * check_threads;
  constexpr int64_t most_blocks = 1024;
  const int64_t blocks = ceil_div(count, of_a_block);
  LAUNCH(find_largest, static_cast<unsigned>(blocks < most_blocks ? blocks : most_blocks), check_threads, 0,
         a.stream, values, count, a.faults + word);
}

inline void start_check_ids(const topk_args& a) {
  if (a.seen_indptr != nullptr) {
    LAUNCH(check_seen, blocks_for(a.num_queries + 1, check_warps), check_threads, 0, a.stream, a);
  }
  if (a.allowed != nullptr && a.num_candidates > 0) {
    LAUNCH(check_allowed, blocks_for(a.num_candidates, check_threads), check_threads, 0, a.stream, a);
  }
}

inline void start_checks(const topk_args& a) {
  const auto stream = static_cast<cudaStream_t>(a.stream);
  check(cudaMemsetAsync(a.faults, 0, topk_fault_words * sizeof(uint32_t), stream),
        "cudaMemsetAsync of faults");
  start_find_largest(a, a.queries, a.num_queries * a.dim, topk_largest_query);
  start_find_largest(a, a.items, a.num_items * a.dim, topk_largest_item);
  LAUNCH(check_largest, 1, 1, 0, a.stream, a);
  start_check_ids(a);
}

}  // namespace

}  // namespace pyrec::cuda
