#pragma once
// The tensor cores' product of bfloat16 matrices, in the places that the PTX ISA gives mma.m16n8k16, and
// copies that run beside the threads.
#include <bit>
#include <cstdint>

#include "memory.hpp"
#include "warp.hpp"

namespace cuda_on_cpu {

struct product_operands {
  float* c;           // (4,) row g, columns 2t and 2t + 1, then row g + 8
  const uint32_t* a;  // (4,)
  const uint32_t* b;  // (2,)
};

inline float half_of_word(uint32_t word, int half) {
  return std::bit_cast<float>(half == 0 ? word << 16 : word & 0xFFFF0000);
}

// Column k of row `row` of a lies in lane 4 (row % 8) + k % 8 / 2; row k of column `column` of b in lane
// 4 column + k % 8 / 2.
inline void multiply_lanes(lane* lanes, unsigned group) {
  const auto operands = [lanes](int i) -> const product_operands& {
    return *reinterpret_cast<const product_operands*>(lanes[i].value);
  };
  for_each_lane(group, [&](int i) {
    for (int n = 0; n < 4; ++n) {
      const int row = i / 4 + n / 2 * 8, column = i % 4 * 2 + n % 2;
      float sum = operands(i).c[n];
      for (int k = 0; k < 16; ++k) {
        const uint32_t left = operands(row % 8 * 4 + k % 8 / 2).a[k / 8 * 2 + row / 8];
        const uint32_t right = operands(column * 4 + k % 8 / 2).b[k / 8];
        sum += half_of_word(left, k % 2) * half_of_word(right, k % 2);
      }
      operands(i).c[n] = sum;
    }
  });
}

inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const product_operands operands{c, a, b};
  const place where{"multiply_add", file, line, 0xFFFFFFFF};
  registers.running->wait_for_warp(where, reinterpret_cast<uint64_t>(&operands), 0, multiply_lanes);
}

inline void start_copy(void* shared, const void* global) {
  check_aligned<uint4>(shared, "start_copy");
  check_aligned<uint4>(global, "start_copy");
  registers.running->start_copy(shared, global, sizeof(uint4));
}

inline void end_copies() { registers.running->end_copies(); }

}  // namespace cuda_on_cpu
