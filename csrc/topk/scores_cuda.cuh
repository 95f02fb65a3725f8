#pragma once
// The k best of finished scores: a warp takes a user and a split of the candidates. Scores above the user's k-th
// best so far enter a queue in shared memory, which the warp merges into the list when it is full.
#include "topk/check_cuda.cuh"
#include "topk/queue_cuda.cuh"

namespace pyrec::cuda {

namespace {

constexpr int select_warps = 4;
constexpr int select_each = 4;  // scores that a lane looks at before the warp votes
constexpr int select_queue = 192;
constexpr int select_room = select_each * warp;  // that each step needs in the queue

struct select_memory {
  uint64_t keys[select_warps][select_queue];
  int32_t queue[select_warps][select_queue];
};

// Which item a candidate is; -1 behind the last.
__device__ __forceinline__ int32_t candidate_id(const topk_args& a, int64_t candidate, int64_t last) {
  if (candidate >= last) return -1;
  return a.allowed != nullptr ? a.allowed[candidate] : static_cast<int32_t>(candidate);
}

__global__ void __launch_bounds__(select_warps* warp) select_scores(const topk_args a) {
  if (a.faults[topk_unsound] != 0) return;
  __shared__ select_memory memory;
  const int own = static_cast<int>(threadIdx.x) / warp;
  const int lane = static_cast<int>(threadIdx.x) % warp;
  const int64_t task = int64_t{blockIdx.x} * select_warps + own;
  if (task >= a.num_queries * a.num_splits) return;
  const int64_t user = task / a.num_splits;
  const int64_t split = task % a.num_splits;
  const float* const row = a.finished + user * a.num_items;
  uint64_t* const list = list_of(a, split, user);
  for (int i = lane; i < a.k; i += warp) list[i] = empty_key;
  seen_items seen{nullptr, 0};
  if (a.seen_indptr != nullptr) {
    const int64_t begin = a.seen_indptr[user];
    seen = {a.seen_indices + begin, static_cast<int32_t>(a.seen_indptr[user + 1] - begin)};
  }
  __syncwarp();

  int32_t* const queue = memory.queue[own];
  const auto score = [=](int32_t id) { return row[id]; };
  uint64_t worst = empty_key;
  int count = 0;
  const auto merge = [&] {
    __syncwarp();
    merge_queue<select_queue>(a, list, queue, count, worst, seen, memory.keys[own], score);
    worst = list[a.k - 1];
    count = 0;
    __syncwarp();
  };
  const int64_t first = a.num_candidates * split / a.num_splits;
  const int64_t last = a.num_candidates * (split + 1) / a.num_splits;
  for (int64_t start = first; start < last; start += select_each * warp) {
    if (count > select_queue - select_room) merge();
    int32_t id[select_each];
    float value[select_each];
#pragma unroll
    for (int e = 0; e < select_each; ++e) id[e] = candidate_id(a, start + e * warp + lane, last);
#pragma unroll
    for (int e = 0; e < select_each; ++e) value[e] = id[e] >= 0 ? score(id[e]) : 0;
#pragma unroll
    for (int e = 0; e < select_each; ++e) {
      const bool found = id[e] >= 0 && to_key(value[e], id[e]) > worst;
      const unsigned votes = __ballot_sync(all_lanes, found);
      if (found) queue[count + __popc(votes & ((1u << lane) - 1))] = id[e];
      count += __popc(votes);
    }
  }
  merge();
}

// Whether a number was met that is not finite.
__global__ void check_scores(const topk_args a) {
  constexpr uint32_t infinity = 0x7F800000;
  if (a.faults[topk_largest_query] >= infinity) atomicOr(&a.faults[topk_unsound], 1);
}

void topk_select(const topk_args& a) {
  const auto stream = static_cast<cudaStream_t>(a.stream);
  check(cudaMemsetAsync(a.faults, 0, topk_fault_words * sizeof(uint32_t), stream),
        "cudaMemsetAsync of faults");
  start_find_largest(a, a.finished, a.num_queries * a.num_items, topk_largest_query);
  LAUNCH(check_scores, 1, 1, 0, a.stream, a);
  start_check_ids(a);
  if (a.num_queries == 0) return;
  LAUNCH(select_scores, blocks_for(a.num_queries * a.num_splits, select_warps), select_warps * warp, 0,
         a.stream, a);
  LAUNCH(finish_lists, blocks_for(a.num_queries, 1), threads, 0, a.stream, a);
}

}  // namespace

}  // namespace pyrec::cuda
