#pragma once
// A user's list, the k best keys so far in descending order, and the queue of candidates that may belong
// there. A warp merges them: candidates get their scores, and every key moves to the place that the number of
// greater ones gives it. Keys are distinct, so the order in which candidates entered the queue does not
// matter. All lanes take the same steps of every search: where they could leave one early, ptxas 13.0 took
// them for together and ran on into the exchange of keys that follows.
#include "common/cuda_vector.cuh"
#include "topk/codes_cuda.cuh"
#include "topk/key.hpp"

namespace pyrec::cuda {

namespace {

constexpr uint64_t no_key = 0;  // below every key

__device__ __forceinline__ uint64_t* list_of(const topk_args& a, int64_t split, int64_t user) {
  return a.keys + (split * a.num_queries + user) * a.k;
}

// The score: one chain of fused multiply-adds in ascending order. V: numbers of a load.
template <int V>
__device__ __forceinline__ float score_of(const topk_args& a, int64_t user, int32_t id) {
  constexpr int ahead = 8;
  const float* query = a.queries + user * a.dim;
  const float* item = a.items + id * a.dim;
  const int dim = static_cast<int>(a.dim);
  float sum = 0;
  for (int first = 0; first < dim; first += ahead * V) {
    pack<float, V> x[ahead];
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const int column = first + i * V;
      x[i] = column < dim ? load_pack<float, V>(item + column) : pack<float, V>{};
    }
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const int column = first + i * V;
      const pack<float, V> q = column < dim ? load_pack<float, V>(query + column) : pack<float, V>{};
#pragma unroll
      for (int v = 0; v < V; ++v) sum = __fmaf_rn(q.values[v], x[i].values[v], sum);
    }
  }
  return sum;
}

// How many of (count,) elements, those that are `before` in front. All lanes of a warp take the same steps.
template <class Before>
__device__ __forceinline__ int count_before(int count, const Before& before) {
  int found = 0;
  for (int step = count > 0 ? 1 << (31 - __clz(count)) : 0; step > 0; step /= 2) {
    const int next = found + step;
    if (next <= count && before(next - 1)) found = next;
  }
  return found;
}

// keys: (count,) descending. How many are greater.
__device__ __forceinline__ int count_greater(const uint64_t* keys, int count, uint64_t key) {
  return count_before(count, [=](int i) { return keys[i] > key; });
}

// What a user has seen.
struct seen_items {
  const int32_t* ids;  // (count,) ascending
  int32_t count;
};

__device__ __forceinline__ bool is_seen(const seen_items& seen, int32_t id) {
  const int place = count_before(seen.count, [=](int i) { return seen.ids[i] < id; });
  return place < seen.count && seen.ids[place] == id;
}

// Each key of the list to its new place, from the end on: places only grow, and those behind are read by
// then. Each: keys of a lane.
template <int Each>
__device__ __forceinline__ void make_room(uint64_t* list, int k, const uint64_t* added, int num_added) {
  const int lane = static_cast<int>(threadIdx.x) % warp;
  for (int start = (k - 1) / (Each * warp) * (Each * warp); start >= 0; start -= Each * warp) {
    uint64_t key[Each];
    int shift[Each];
#pragma unroll
    for (int e = 0; e < Each; ++e) {
      const int from = start + e * warp + lane;
      key[e] = from < k ? list[from] : no_key;
    }
#pragma unroll
    for (int e = 0; e < Each; ++e) shift[e] = count_greater(added, num_added, key[e]);
    __syncwarp();
#pragma unroll
    for (int e = 0; e < Each; ++e) {
      const int from = start + e * warp + lane;
      if (shift[e] > 0 && from + shift[e] < k) list[from + shift[e]] = key[e];
    }
    if (__shfl_sync(all_lanes, shift[0], 0) == 0) return;  // nor does any before it move
  }
}

// queue: (count,) items in any order; those that belong there, not behind `worst` and not seen, enter the
// list. keys: (Capacity,) of the warp. score(id): of an item.
template <int Capacity, class Score>
__device__ __forceinline__ void merge_queue(const topk_args& a, uint64_t* list, const int32_t* queue,
                                            int count, uint64_t worst, const seen_items& seen, uint64_t* keys,
                                            const Score& score) {
  constexpr int each = Capacity / warp;
  const int lane = static_cast<int>(threadIdx.x) % warp;
  const int k = static_cast<int>(a.k);
  uint64_t key[each];
  int num_added = 0;
#pragma unroll
  for (int e = 0; e < each; ++e) {
    const int i = e * warp + lane;
    const int32_t id = i < count ? queue[i] : -1;
    const uint64_t own = to_key(score(max(id, 0)), id);
    const bool seen_before = is_seen(seen, id);
    key[e] = id < 0 || own <= worst || seen_before ? no_key : own;
    if (i < count) keys[i] = key[e];
    num_added += __popc(__ballot_sync(all_lanes, key[e] != no_key));
  }
  __syncwarp();
  if (num_added == 0) return;

  int place[each] = {};
#pragma unroll 4
  for (int i = 0; i < count; ++i) {
    const uint64_t other = keys[i];
#pragma unroll
    for (int e = 0; e < each; ++e) place[e] += other > key[e] ? 1 : 0;
  }
  __syncwarp();
#pragma unroll
  for (int e = 0; e < each; ++e) {
    if (key[e] != no_key) keys[place[e]] = key[e];
    place[e] += count_greater(list, k, key[e]);  // k and more of no key
  }
  __syncwarp();

  k <= warp ? make_room<1>(list, k, keys, num_added) : make_room<4>(list, k, keys, num_added);
#pragma unroll
  for (int e = 0; e < each; ++e) {
    if (place[e] < k) list[place[e]] = key[e];
  }
  __syncwarp();
}

// A block merges the lists of a user's splits into the answer: a key's rank is the number of greater ones.
__global__ void __launch_bounds__(threads) finish_lists(const topk_args a) {
  if (a.faults[topk_unsound] != 0) return;
  const int64_t user = blockIdx.x;
  const int k = static_cast<int>(a.k);
  for (int rank = static_cast<int>(threadIdx.x); rank < k; rank += threads) {
    a.scores[user * k + rank] = -INFINITY;
    a.ids[user * k + rank] = -1;
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < a.num_splits * k; i += threads) {
    const int split = i / k;
    const uint64_t key = list_of(a, split, user)[i % k];
    if (key == empty_key) continue;
    int rank = i % k;
    for (int other = 0; other < a.num_splits && rank < k; ++other) {
      if (other != split) rank += count_greater(list_of(a, other, user), k, key);
    }
    if (rank >= k) continue;
    a.scores[user * k + rank] = key_score(key);
    a.ids[user * k + rank] = key_id(key);
  }
}

}  // namespace

}  // namespace pyrec::cuda
