// The first appearance of each id by an integer minimum, which no order of threads changes; then the first
// appearances are numbered by sums over blocks and over the blocks before.
#include "common/cuda_block.cuh"
#include "distinct/distinct.hpp"

namespace pyrec::cuda {

namespace {

__device__ __forceinline__ bool in_range(const distinct_args& a, int64_t i) {
  return i < a.count && a.ids[i] >= 0 && a.ids[i] < a.num_ids;
}

__device__ __forceinline__ bool appears_first(const distinct_args& a, int64_t i) {
  return in_range(a, i) && a.first_seen[a.ids[i]] == i;
}

__global__ void __launch_bounds__(distinct_block) mark_first(const distinct_args a) {
  const int64_t i = grid_thread();
  if (i >= a.count) return;
  if (in_range(a, i)) {
    atomicMin(a.first_seen + a.ids[i], static_cast<int32_t>(i));
  } else {
    *a.bad_ids = true;
  }
}

__global__ void __launch_bounds__(distinct_block) count_first(const distinct_args a) {
  const int count = __syncthreads_count(appears_first(a, grid_thread()));
  if (threadIdx.x == 0) a.sums[blockIdx.x] = count;
}

__global__ void __launch_bounds__(distinct_block) number_first(const distinct_args a) {
  int32_t some = 0;  // of the blocks before
  for (unsigned block = threadIdx.x; block < blockIdx.x; block += distinct_block) some += a.sums[block];
  const int32_t before = block_scan<distinct_block>(some).total;
  const int64_t i = grid_thread();
  const bool first = appears_first(a, i);
  const scanned own = block_scan<distinct_block>(first);
  if (first) {
    a.rows[before + own.before] = a.ids[i];
    a.position[i] = before + own.before;
  }
  if (blockIdx.x == gridDim.x - 1 && threadIdx.x == 0) a.sums[gridDim.x] = before + own.total;
}

__global__ void __launch_bounds__(distinct_block) place_others(const distinct_args a) {
  const int64_t i = grid_thread();
  if (i >= a.count) return;
  if (i >= a.sums[gridDim.x]) a.rows[i] = -1;
  if (!in_range(a, i)) {
    a.position[i] = 0;
  } else if (!appears_first(a, i)) {
    a.position[i] = a.position[a.first_seen[a.ids[i]]];
  }
}

void find_distinct(const distinct_args& a) {
  if (a.count == 0) return;
  const auto bytes = static_cast<size_t>(a.num_ids) * sizeof(int32_t);
  constexpr int behind_all = 0x7F;  // a place of such bytes is behind every position
  check(cudaMemsetAsync(a.first_seen, behind_all, bytes, static_cast<cudaStream_t>(a.stream)),
        "cudaMemsetAsync of first_seen");
  const unsigned blocks = blocks_for(a.count, distinct_block);
  LAUNCH(mark_first, blocks, distinct_block, 0, a.stream, a);
  LAUNCH(count_first, blocks, distinct_block, 0, a.stream, a);
  LAUNCH(number_first, blocks, distinct_block, 0, a.stream, a);
  LAUNCH(place_others, blocks, distinct_block, 0, a.stream, a);
}

}  // namespace

distinct_kernels distinct() { return {.run = find_distinct}; }

}  // namespace pyrec::cuda
