#pragma once
// Dropout whose mask is stored nowhere: the fate of element i of a table, counted row by row, is a number
//
//   word_i = word i % 4 of Philox4x32-10 of the counter (i / 4 as 64 bits, substream, 'drop') by the key seed
//
// of (seed, substream, i) alone. The element is kept where word_i >= ceil(rate * 2^32), so that its share is
// 1 - rate to 2^-32, and multiplied by 1 / (1 - rate), rounded once to its type; else it becomes +0, whatever
// it was. The gradient of what comes out goes through the same function.
#include <cstdint>

#include "common/function_table.hpp"
#include "common/philox.hpp"

namespace pyrec {

template <class T>
struct drop_args {
  const T* x;  // (count,)
  int64_t count;
  const int64_t* seed;  // (1,) read by the kernel, so that a step recorded on a device can have another
  uint32_t substream;
  uint32_t threshold;  // ceil(rate * 2^32)
  T scale;             // 1 / (1 - rate)
  T* out;              // (count,)

  // For kernels on a device.
  void* stream;
};

struct drop_kernels {
  function_table<drop_args<float>, drop_args<double>> run;
};

constexpr uint32_t drop_domain = 0x64726F70;  // 'drop': of the same seed others draw by other counters
constexpr int64_t drop_words = 4;             // elements that share a block of Philox

// The largest rate whose threshold has 32 bits.
constexpr double most_dropped = 1.0 - 1.0 / 4294967296.0;

// rate: in [0, most_dropped]. The product is exact.
PYREC_INLINE uint32_t drop_threshold(double rate) {
  return static_cast<uint32_t>(__builtin_ceil(rate * 4294967296.0));
}

}  // namespace pyrec
