#pragma once
#include "common/parallel.hpp"
#include "common/philox.hpp"
#include "isa/simd.hpp"
#include "sample/sample.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t samples_per_task = 1024;

PYREC_INLINE uint32_t shuffle_mix(uint32_t value, uint32_t key) {
  const uint64_t product = uint64_t{0xD2511F53} * (value ^ key);
  return static_cast<uint32_t>(product >> 32) ^ static_cast<uint32_t>(product);
}

PYREC_INLINE uint64_t shuffle(const shuffle_key& key, uint64_t index) {
  const uint64_t left_mask = (uint64_t{1} << key.left_bits) - 1;
  const uint64_t right_mask = (uint64_t{1} << key.right_bits) - 1;
  do {
    uint64_t left = index >> key.right_bits;
    uint64_t right = index & right_mask;
    for (int round = 0; round < shuffle_rounds; round += 2) {
      left ^= shuffle_mix(static_cast<uint32_t>(right), key.round_key[round]) & left_mask;
      right ^= shuffle_mix(static_cast<uint32_t>(left), key.round_key[round + 1]) & right_mask;
    }
    index = left << key.right_bits | right;
  } while (index >= key.count);
  return index;
}

// Number of p in [0, degree) with row[p] - offset - p <= rank.
PYREC_INLINE int64_t owned_before(const int32_t* row, int64_t degree, int32_t offset, int64_t rank) {
  int64_t low = 0;
  for (int64_t length = degree; length > 0;) {
    const int64_t half = length / 2;
    const bool below = row[low + half] - offset - (low + half) <= rank;
    low = below ? low + half + 1 : low;
    length = below ? length - half - 1 : half;
  }
  return low;
}

PYREC_INLINE uint64_t random64(const sample_args& a, uint64_t sample, uint64_t negative) {
  const philox_block block = philox({{static_cast<uint32_t>(sample), static_cast<uint32_t>(sample >> 32),
                                      static_cast<uint32_t>(a.epoch), static_cast<uint32_t>(negative)}},
                                    static_cast<uint32_t>(a.seed), static_cast<uint32_t>(a.seed >> 32));
  return uint64_t{block.word[1]} << 32 | block.word[0];
}

PYREC_INLINE void draw(const sample_args& a, int64_t i) {
  const auto sample = static_cast<uint64_t>(a.first + i);
  const auto position = static_cast<int64_t>(shuffle(a.shuffle, sample));
  const int64_t interaction = a.eligible != nullptr ? a.eligible[position] : position;
  const int32_t user = a.users[interaction];
  a.out_users[i] = user;
  a.out_positives[i] = a.indices[interaction] - a.num_users;
  const int64_t begin = a.indptr[user];
  const int64_t degree = a.indptr[user + 1] - begin;
  const auto choices = static_cast<uint64_t>(a.num_items - degree);
  for (int64_t n = 0; n < a.num_negatives; ++n) {
    const uint64_t random = random64(a, sample, static_cast<uint64_t>(n));
    // The high word of random * choices is uniform over the choices to within 2^-32 of their number.
    const auto rank = static_cast<int64_t>(static_cast<unsigned __int128>(random) * choices >> 64);
    const int64_t owned = owned_before(a.indices + begin, degree, a.num_users, rank);
    a.out_negatives[i * a.num_negatives + n] = static_cast<int32_t>(rank + owned);
  }
}

inline void sample_triples(const sample_args& a) {
  parallel_for((a.count + samples_per_task - 1) / samples_per_task, [&](int64_t task) {
    const int64_t last = (task + 1) * samples_per_task;
    for (int64_t i = task * samples_per_task; i < (last < a.count ? last : a.count); ++i) draw(a, i);
  });
}

}  // namespace pyrec::PYREC_ISA
