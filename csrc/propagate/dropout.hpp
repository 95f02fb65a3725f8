#pragma once
// Edge dropout without a list: an edge between nodes a and b is left out where
//
//   mix((mix(a ^ key0) + mix(b ^ key0)) ^ key1) < threshold
//
// with the keys from Philox of a seed. It is a function of (seed, a, b) alone and symmetric in a and b, so
// both directions of an edge share its fate and the matrix stays symmetric. mix is lowbias32 (Wellons,
// "Prospecting for hash functions", 2018), a bijection of 32 bits chosen for its avalanche: each bit of the
// input flips each of the output about every other time. That is four multiplications an edge, where Philox
// needs twenty.
#include <cstdint>

#include "common/philox.hpp"

namespace pyrec {

struct edge_dropout {
  uint32_t threshold;  // rate * 2^32; 0 leaves out none
  uint32_t key0;
  uint32_t key1;

  PYREC_HOST_DEVICE PYREC_INLINE static uint32_t mix(uint32_t word) {
    word = (word ^ (word >> 16)) * 0x7FEB352D;
    word = (word ^ (word >> 15)) * 0x846CA68B;
    return word ^ (word >> 16);
  }
  // One end's part of an edge's hash.
  PYREC_HOST_DEVICE PYREC_INLINE uint32_t end(int32_t node) const {
    return mix(static_cast<uint32_t>(node) ^ key0);
  }
  PYREC_HOST_DEVICE PYREC_INLINE bool keeps(uint32_t end_a, uint32_t end_b) const {
    return mix((end_a + end_b) ^ key1) >= threshold;
  }
};

// rate: in [0, 1).
PYREC_INLINE edge_dropout make_dropout(double rate, uint64_t seed) {
  const philox_block keys =
      philox({{0, 0, 0, 0}}, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return {static_cast<uint32_t>(rate * 4294967296.0), keys.word[0], keys.word[1]};
}

}  // namespace pyrec
