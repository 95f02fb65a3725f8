// A thread takes a negative, and finds its sample's interaction for itself: the walk through the shuffle is
// arithmetic alone and costs less than to wait for another thread's.
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

}  // namespace

sample_kernels sample() { return {.reads_cursor = true, .triples = sample_triples}; }

}  // namespace pyrec::cuda
