#pragma once
#include "common/parallel.hpp"
#include "isa/philox.hpp"
#include "sample/sample.hpp"

namespace pyrec::PYREC_ISA {

// A task is drawn stage by stage, so that the random numbers of several samples fill the vectors.
constexpr int64_t samples_per_task = 1024;
constexpr int64_t lanes = simd<uint64_t>::width;
static_assert(samples_per_task % lanes == 0);

constexpr uint64_t low_word = 0xFFFFFFFF;

// Words are 32 bits wide in 64-bit lanes.
using word_vector = vec<uint64_t>;

PYREC_INLINE word_vector shuffle_mix(word_vector value, uint32_t key) {
  const word_vector product =
      multiply_words(value ^ broadcast(uint64_t{key}), broadcast(uint64_t{0xD2511F53}));
  return (product >> 32) ^ (product & low_word);
}

// One pass of the Feistel network over `lanes` indices.
PYREC_INLINE word_vector shuffle_once(const shuffle_key& key, word_vector index) {
  const uint64_t left_mask = (uint64_t{1} << key.left_bits) - 1;
  const uint64_t right_mask = (uint64_t{1} << key.right_bits) - 1;
  word_vector left = index >> key.right_bits;
  word_vector right = index & right_mask;
  for (int round = 0; round < shuffle_rounds; round += 2) {
    left ^= shuffle_mix(right, key.round_key[round]) & left_mask;
    right ^= shuffle_mix(left, key.round_key[round + 1]) & right_mask;
  }
  return left << key.right_bits | right;
}

// position[i] = shuffle(first + i); an index that falls outside the domain goes through the network again.
inline void shuffle_positions(const shuffle_key& key, uint64_t first, int64_t count, uint64_t* position) {
  uint64_t index[samples_per_task];
  int32_t target[samples_per_task];
  for (int64_t i = 0; i < samples_per_task; ++i) {
    index[i] = first + static_cast<uint64_t>(i);
    target[i] = static_cast<int32_t>(i);
  }
  for (int64_t pending = count; pending > 0;) {
    for (int64_t i = 0; i < pending; i += lanes) store(index + i, shuffle_once(key, load(index + i)));
    int64_t outside = 0;
    for (int64_t i = 0; i < pending; ++i) {
      position[target[i]] = index[i];  // overwritten later if outside
      index[outside] = index[i];
      target[outside] = target[i];
      outside += index[i] >= key.count;
    }
    pending = outside;
  }
}

// Philox of the counters (sample, epoch, negative): the first 64 bits of each block.
PYREC_INLINE word_vector random_words(const sample_args& a, word_vector sample, uint64_t negative) {
  const philox_lanes random =
      philox({{sample, sample >> 32, broadcast(a.epoch), broadcast(negative)}}, a.seed);
  return join_words(random.word[0], random.word[1]);
}

// Searches of several samples side by side: vectors of them, and some vectors at once, so that one waits for
// memory while the others go on.
constexpr int64_t vectors_of_searches = 4;
constexpr int64_t searches = vectors_of_searches * lanes;

struct owned_search {
  int64_t row[searches];  // where a user's items start among the indices: ascending, as offset + item
  int64_t rank[searches];
  int64_t length[searches];  // at first the degree, 1 or more
  int64_t low[searches];     // at first 0; in the end the number of p with row[p] - offset - p <= rank

  // All ones where the item at `probe` counts.
  PYREC_INLINE vec<int64_t> below(const int32_t* indices, int64_t s, vec<int64_t> probe,
                                  int64_t offset) const {
    const vec<int64_t> item = gather(indices, load(row + s) + probe) - offset;
    return item - probe <= load(rank + s);
  }
  // Halves every range until one element is left; masks in place of branches, which would be guesses.
  PYREC_INLINE void run(const int32_t* indices, int64_t offset, int64_t longest) {
    for (; longest > 1; longest -= longest / 2) {
      for (int64_t s = 0; s < searches; s += lanes) {
        const vec<int64_t> half = load(length + s) >> 1;
        const vec<int64_t> probe = load(low + s) + half + (half > 0);  // a true lane is -1
        store(low + s, load(low + s) + (half & below(indices, s, probe, offset)));
        store(length + s, load(length + s) - half);
      }
    }
    for (int64_t s = 0; s < searches; s += lanes) {
      store(low + s, load(low + s) - below(indices, s, load(low + s), offset));
    }
  }
};

inline void draw_positives(const sample_args& a, int64_t first, int64_t count) {
  uint64_t position[samples_per_task];
  shuffle_positions(a.shuffle, static_cast<uint64_t>(a.first + first), count, position);
  for (int64_t i = 0; i < count; ++i) {
    const auto chosen = static_cast<int64_t>(position[i]);
    const int64_t interaction = a.eligible != nullptr ? a.eligible[chosen] : chosen;
    a.out_users[first + i] = a.users[interaction];
    a.out_positives[first + i] = a.indices[interaction] - a.num_users;
  }
}

inline void draw_negatives(const sample_args& a, int64_t first, int64_t count, int64_t negative) {
  uint64_t random[samples_per_task];
  word_vector sample;
  for (int64_t lane = 0; lane < lanes; ++lane) sample[lane] = static_cast<uint64_t>(a.first + first + lane);
  for (int64_t i = 0; i < count; i += lanes, sample += static_cast<uint64_t>(lanes)) {
    store(random + i, random_words(a, sample, static_cast<uint64_t>(negative)));
  }
  for (int64_t i = 0; i < count; i += searches) {
    owned_search search;
    int64_t longest = 1;
    for (int64_t s = 0; s < searches; ++s) {
      const int64_t sample_at = i + s < count ? i + s : count - 1;  // the last one again where none is left
      const int32_t user = a.out_users[first + sample_at];
      const int64_t begin = a.indptr[user];
      const int64_t degree = a.indptr[user + 1] - begin;
      const auto choices = static_cast<uint64_t>(a.num_items - degree);
      search.row[s] = begin;
      search.length[s] = degree;
      longest = degree > longest ? degree : longest;
      search.low[s] = 0;
      // The high word of random * choices is uniform over the choices to within 2^-32 of their number.
      search.rank[s] =
          static_cast<int64_t>(static_cast<unsigned __int128>(random[sample_at]) * choices >> 64);
    }
    search.run(a.indices, a.num_users, longest);
    for (int64_t s = 0; s < searches && i + s < count; ++s) {
      a.out_negatives[(first + i + s) * a.num_negatives + negative] =
          static_cast<int32_t>(search.rank[s] + search.low[s]);
    }
  }
}

inline void sample_triples(const sample_args& a) {
  parallel_ranges(a.count, samples_per_task, [&](int64_t first, int64_t last) {
    draw_positives(a, first, last - first);
    for (int64_t negative = 0; negative < a.num_negatives; ++negative) {
      draw_negatives(a, first, last - first, negative);
    }
  });
}

}  // namespace pyrec::PYREC_ISA
