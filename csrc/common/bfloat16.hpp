#pragma once
#include <cstdint>

namespace pyrec {

// The upper half of a float: its sign, its exponent and 7 bits of its fraction. For storage alone; kernels
// widen it to float before they compute.
struct bfloat16 {
  uint16_t bits;
};

}  // namespace pyrec
