#pragma once
#include <cstdint>

#include "common/inline.hpp"

namespace pyrec {

// The upper half of a float: its sign, its exponent and 7 bits of its fraction. For storage alone; kernels
// widen it to float before they compute.
struct bfloat16 {
  uint16_t bits;
};

// The bits of the bfloat16 nearest to a float, of the even one of two; NaN stays NaN. For a float and its
// bits, and for vectors of both.
template <class Value, class Bits>
PYREC_HOST_DEVICE PYREC_INLINE Bits round_to_bfloat16(Value value, Bits bits) {
  const Bits rounded = bits + 0x7FFF + ((bits >> 16) & 1);
  const Bits kept = value == value ? rounded : bits | 0x400000;
  return kept >> 16;
}

}  // namespace pyrec
