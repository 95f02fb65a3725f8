#pragma once
// Whole numbers of pieces, for counts of 0 or more.
#include <cstdint>

#include "common/inline.hpp"

namespace pyrec {

// How many pieces of `size` hold `count`.
PYREC_HOST_DEVICE constexpr PYREC_INLINE int64_t ceil_div(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

// The first multiple that is not below `count`.
PYREC_HOST_DEVICE constexpr PYREC_INLINE int64_t rounded_up(int64_t count, int64_t multiple) {
  return ceil_div(count, multiple) * multiple;
}

}  // namespace pyrec
