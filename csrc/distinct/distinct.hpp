#pragma once
// rows[position[i]] = ids[i]: the distinct ids of a batch in order of first appearance, and where each entry is among
// them. A device alone knows their number; rows has room for all, and -1 behind the last.
#include <cstdint>

#include "common/rounding.hpp"

namespace pyrec {

constexpr int64_t distinct_block = 256;  // ids whose first appearances are counted together

// A sum for each block, and one over all.
constexpr int64_t distinct_sums(int64_t count) { return ceil_div(count, distinct_block) + 1; }

struct distinct_args {
  const int64_t* ids;  // (count,)
  int64_t count;
  int64_t num_ids;
  int32_t* first_seen;  // (num_ids,) scratch: where an id appears first
  int32_t* sums;        // (distinct_sums(count),) scratch
  int64_t* rows;        // (count,)
  int64_t* position;    // (count,) into rows
  bool* bad_ids;        // (1,) becomes true where an id is out of range; its position is 0
  void* stream;
};

struct distinct_kernels {
  void (*run)(const distinct_args&) = nullptr;  // null: the binding does it on the CPU
};

}  // namespace pyrec
