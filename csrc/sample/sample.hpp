#pragma once
// Triples (user, positive, negative) of an epoch. Sample t takes interaction shuffle(t), so that an epoch
// visits each once in random order, and negatives uniform over the items its user has not. Everything is a
// function of (seed, epoch, t), so any part of an epoch can be drawn by itself and by any number of threads.
//
// shuffle: a Feistel network on the smallest power of two that holds the interactions, walked until it
// falls inside (Mitchell et al., "Bandwidth-optimal random shuffling for GPUs", ACM TOPC 2022).
// negative: the r-th item outside the user's sorted row, r uniform in [0, num_items - degree): with
// f(p) = row[p] - p, which never falls, it is r + the number of p with f(p) <= r. No rejection, so an
// owner of all items but one costs no more than anybody else.
//
// Where a CUDA graph is replayed for one batch after the other, only memory can say which: then (epoch,
// first) are read from `cursor` by the kernel.
#include <cstdint>

#include "common/philox.hpp"

namespace pyrec {

constexpr int shuffle_rounds = 12;

struct shuffle_key {
  uint64_t count;  // size of the domain
  int left_bits;
  int right_bits;
  uint32_t round_key[shuffle_rounds];
};

PYREC_HOST_DEVICE PYREC_INLINE uint32_t shuffle_round_key(uint64_t seed, uint64_t epoch, uint32_t round) {
  constexpr uint32_t shuffle_stream = 0xFFFFFFFF;  // apart from the negatives' counters
  return philox({{round, 0xFFFFFFFF, static_cast<uint32_t>(epoch), shuffle_stream}},
                static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32))
      .word[0];
}

shuffle_key make_shuffle(uint64_t count, uint64_t seed, uint64_t epoch);

struct sample_args {
  const int64_t* indptr;    // (num_nodes + 1,)
  const int32_t* indices;   // (num_edges,) a user's items, as num_users + item, ascending
  const int32_t* users;     // (num_interactions,) the user of each interaction
  const int64_t* eligible;  // (shuffle.count,) interactions whose user has a negative; null when all have
  int32_t num_users;
  int32_t num_items;
  uint64_t seed;
  uint64_t epoch;
  shuffle_key shuffle;
  int64_t first;  // samples first .. first + count - 1 of the epoch
  int64_t count;
  int64_t num_negatives;

  int32_t* out_users;      // (count,)
  int32_t* out_positives;  // (count,) item ids
  int32_t* out_negatives;  // (count, num_negatives) item ids

  // For kernels on a device.
  const int64_t* cursor;  // (2,) epoch and first; a sample behind the end counts from the start; or null
  void* stream;
};

struct sample_kernels {
  bool reads_cursor = false;  // else the binding does before
  void (*triples)(const sample_args&);
};

}  // namespace pyrec
