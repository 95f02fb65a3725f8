// A thread takes a negative, and finds its sample's interaction for itself: the walk through the shuffle is
// arithmetic alone and costs less than to wait for another thread's.
//
// distinct: the first appearance of each node by an integer minimum, which no order of threads changes; then
// the first appearances are numbered by sums over blocks and over the blocks before.
#include "common/cuda_block.cuh"
#include "sample/sample.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;

struct place_in_epoch {
  uint64_t epoch;
  uint64_t first;
};

__device__ __forceinline__ place_in_epoch place_of(const sample_args& a) {
  if (a.cursor == nullptr) return {a.epoch, static_cast<uint64_t>(a.first)};
  return {static_cast<uint64_t>(a.cursor[0]), static_cast<uint64_t>(a.cursor[1])};
}

__device__ __forceinline__ uint32_t mix(uint32_t value, uint32_t key) {
  const uint64_t product = uint64_t{0xD2511F53} * (value ^ key);
  return static_cast<uint32_t>(product >> 32) ^ static_cast<uint32_t>(product);
}

// round_key: (shuffle_rounds,) of the epoch
__device__ __forceinline__ uint64_t shuffled(const shuffle_key& key, const uint32_t* round_key,
                                             uint64_t index) {
  const auto left_mask = static_cast<uint32_t>((uint64_t{1} << key.left_bits) - 1);
  const auto right_mask = static_cast<uint32_t>((uint64_t{1} << key.right_bits) - 1);
  do {
    auto left = static_cast<uint32_t>(index >> key.right_bits);
    auto right = static_cast<uint32_t>(index) & right_mask;
#pragma unroll
    for (int round = 0; round < shuffle_rounds; round += 2) {
      left ^= mix(right, round_key[round]) & left_mask;
      right ^= mix(left, round_key[round + 1]) & right_mask;
    }
    index = uint64_t{left} << key.right_bits | right;
  } while (index >= key.count);
  return index;
}

// The rank-th item that the user has not.
__device__ __forceinline__ int32_t item_at_rank(const sample_args& a, int32_t user, uint64_t random) {
  const int64_t begin = a.indptr[user];
  const int64_t degree = a.indptr[user + 1] - begin;
  const auto rank = static_cast<int64_t>(__umul64hi(random, static_cast<uint64_t>(a.num_items - degree)));
  int64_t low = 0;  // of the owned items as many are below the one sought, at least
  int64_t high = degree;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    const bool below = a.indices[begin + middle] - a.num_users - middle <= rank;
    low = below ? middle + 1 : low;
    high = below ? high : middle;
  }
  return static_cast<int32_t>(rank + low);
}

__global__ void __launch_bounds__(threads) draw_triples(const sample_args a) {
  __shared__ uint32_t round_key[shuffle_rounds];
  const place_in_epoch place = place_of(a);
  if (threadIdx.x < shuffle_rounds)
    round_key[threadIdx.x] = shuffle_round_key(a.seed, place.epoch, threadIdx.x);
  __syncthreads();
  const int64_t at = grid_thread();
  if (at >= a.count * a.num_negatives) return;
  const int64_t i = at / a.num_negatives;
  const auto negative = static_cast<uint32_t>(at - i * a.num_negatives);
  uint64_t sample = place.first + static_cast<uint64_t>(i);
  if (sample >= a.shuffle.count) sample %= a.shuffle.count;
  const auto chosen = static_cast<int64_t>(shuffled(a.shuffle, round_key, sample));
  const int64_t interaction = a.eligible != nullptr ? a.eligible[chosen] : chosen;
  const int32_t user = a.users[interaction];
  if (negative == 0) {
    a.out_users[i] = user;
    a.out_positives[i] = a.indices[interaction] - a.num_users;
  }
  const philox_block block = philox({{static_cast<uint32_t>(sample), static_cast<uint32_t>(sample >> 32),
                                      static_cast<uint32_t>(place.epoch), negative}},
                                    static_cast<uint32_t>(a.seed), static_cast<uint32_t>(a.seed >> 32));
  a.out_negatives[at] = item_at_rank(a, user, uint64_t{block.word[1]} << 32 | block.word[0]);
}

void sample_triples(const sample_args& a) {
  const int64_t draws = a.count * a.num_negatives;
  if (draws > 0) LAUNCH(draw_triples, blocks_for(draws, threads), threads, 0, a.stream, a);
}

__device__ __forceinline__ bool in_range(const distinct_args& a, int64_t i) {
  return i < a.count && a.nodes[i] >= 0 && a.nodes[i] < a.num_nodes;
}

__device__ __forceinline__ bool appears_first(const distinct_args& a, int64_t i) {
  return in_range(a, i) && a.first_seen[a.nodes[i]] == i;
}

__global__ void __launch_bounds__(distinct_block) mark_first(const distinct_args a) {
  const int64_t i = grid_thread();
  if (i >= a.count) return;
  if (in_range(a, i)) {
    atomicMin(a.first_seen + a.nodes[i], static_cast<int32_t>(i));
  } else {
    *a.bad_nodes = true;
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
    a.rows[before + own.before] = a.nodes[i];
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
    a.position[i] = a.position[a.first_seen[a.nodes[i]]];
  }
}

void distinct(const distinct_args& a) {
  if (a.count == 0) return;
  const auto bytes = static_cast<size_t>(a.num_nodes) * sizeof(int32_t);
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

sample_kernels sample() { return {.reads_cursor = true, .triples = sample_triples, .distinct = distinct}; }

}  // namespace pyrec::cuda
