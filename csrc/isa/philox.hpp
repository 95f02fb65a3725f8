#pragma once
// Philox4x32-10 (common/philox.hpp), a counter in each lane.
#include "isa/simd.hpp"

namespace pyrec::PYREC_ISA {

// Words are the low 32 bits of 64-bit lanes; the high ones have no meaning.
struct philox_lanes {
  vec<uint64_t> word[4];
};

PYREC_INLINE philox_lanes philox(philox_lanes counter, uint64_t key) {
  constexpr uint64_t low_word = 0xFFFFFFFF;
  uint64_t key0 = key & low_word;
  uint64_t key1 = key >> 32;
  for (int round = 0; round < 10; ++round) {
    const vec<uint64_t> product0 = multiply_words(counter.word[0], broadcast(uint64_t{0xD2511F53}));
    const vec<uint64_t> product1 = multiply_words(counter.word[2], broadcast(uint64_t{0xCD9E8D57}));
    counter = {{(product1 >> 32) ^ counter.word[1] ^ key0, product1,
                (product0 >> 32) ^ counter.word[3] ^ key1, product0}};
    key0 = (key0 + 0x9E3779B9) & low_word;
    key1 = (key1 + 0xBB67AE85) & low_word;
  }
  return counter;
}

// The low words of two as one lane: those of `low` in its low half.
PYREC_INLINE vec<uint64_t> join_words(vec<uint64_t> low, vec<uint64_t> high) {
  return high << 32 | (low & uint64_t{0xFFFFFFFF});
}

}  // namespace pyrec::PYREC_ISA
