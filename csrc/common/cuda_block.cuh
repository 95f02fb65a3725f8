#pragma once
// What the threads of a block do together.
#include "common/cuda_launch.cuh"
#include "common/rounding.hpp"

namespace pyrec::cuda {

constexpr unsigned all_lanes = 0xFFFFFFFF;
constexpr int warp = 32;

inline unsigned blocks_for(int64_t count, int64_t per_block) {
  return static_cast<unsigned>(ceil_div(count, per_block));
}

// The thread's number in a grid of one dimension.
__device__ __forceinline__ int64_t grid_thread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

// Sums over groups of Lanes lanes, the same bits in each lane; all lanes of the warp take part.
template <int Lanes, class T>
__device__ __forceinline__ T group_sum(T value) {
#pragma unroll
  for (int distance = Lanes / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(all_lanes, value, distance);
  }
  return value;
}

struct scanned {
  int32_t before;  // the sum of the values of the threads before this one
  int32_t total;   // of the block's
};

// Sums over a block of Threads threads, all of which call it.
template <int Threads>
__device__ __forceinline__ scanned block_scan(int32_t value) {
  static_assert(Threads % warp == 0 && Threads <= warp * warp);
  alignas(16) __shared__ int32_t warp_total[Threads / warp];  // whole loads of 16 bytes read nothing else
  const int lane = static_cast<int>(threadIdx.x) % warp;
  const int own_warp = static_cast<int>(threadIdx.x) / warp;
  int32_t through = value;
#pragma unroll
  for (int distance = 1; distance < warp; distance *= 2) {
    const int32_t other = __shfl_up_sync(all_lanes, through, distance);
    if (lane >= distance) through += other;
  }
  __syncthreads();  // an earlier scan's totals have been read
  if (lane == warp - 1) warp_total[own_warp] = through;
  __syncthreads();
  scanned result{through - value, 0};
#pragma unroll
  for (int i = 0; i < Threads / warp; ++i) {
    if (i < own_warp) result.before += warp_total[i];
    result.total += warp_total[i];
  }
  return result;
}

}  // namespace pyrec::cuda
