#pragma once
// Parts of one buffer.
#include <cstdint>

namespace pyrec {

// The next part, of `count`, at a multiple of 16 bytes where the buffer starts at one; moves `at` behind it.
template <class Part>
Part* take_part(uintptr_t& at, int64_t count) {
  auto* const part = reinterpret_cast<Part*>(at);
  at += (static_cast<uintptr_t>(count) * sizeof(Part) + 15) / 16 * 16;
  return part;
}

}  // namespace pyrec
