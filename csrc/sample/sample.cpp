#include "sample/sample.hpp"

#include <algorithm>
#include <bit>

namespace pyrec {

shuffle_key make_shuffle(uint64_t count, uint64_t seed, uint64_t epoch) {
  constexpr int min_bits = 10;  // narrower halves give visibly uneven permutations
  const int bits = std::max(min_bits, static_cast<int>(std::bit_width(count)));
  shuffle_key key{.count = count, .left_bits = bits / 2, .right_bits = bits - bits / 2, .round_key = {}};
  for (uint32_t round = 0; round < shuffle_rounds; ++round) {
    key.round_key[round] = shuffle_round_key(seed, epoch, round);
  }
  return key;
}

}  // namespace pyrec
