#pragma once
// A score and an item as one number: the better of two entries is the larger number. The bits of a float are
// in the order of their values once the negative ones are turned round, and smaller ids count for more.
#include <cstdint>
#include <limits>

#include "common/inline.hpp"

namespace pyrec {

PYREC_HOST_DEVICE constexpr PYREC_INLINE uint64_t to_key(float score, int32_t id) {
  const auto bits = __builtin_bit_cast(uint32_t, score + 0.0f);  // -0 becomes 0
  const uint32_t ordered = bits >> 31 != 0 ? ~bits : bits | uint32_t{1} << 31;
  return uint64_t{ordered} << 32 | ~static_cast<uint32_t>(id);
}

PYREC_HOST_DEVICE constexpr PYREC_INLINE float key_score(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __builtin_bit_cast(float, ordered >> 31 != 0 ? ordered ^ uint32_t{1} << 31 : ~ordered);
}

PYREC_HOST_DEVICE constexpr PYREC_INLINE int32_t key_id(uint64_t key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

// Of a place in a list that no item has taken: score -inf, id -1.
constexpr uint64_t empty_key = to_key(-std::numeric_limits<float>::infinity(), -1);

}  // namespace pyrec
