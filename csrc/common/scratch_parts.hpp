#pragma once
#include <cstdint>

#include "common/inline.hpp"

namespace pyrec {

// Hands out the parts of one buffer, one behind the other; of a buffer at null to learn the bytes that they take.
class buffer_parts {
 public:
  // multiple: of bytes at which each part starts where the buffer does.
  PYREC_INLINE explicit buffer_parts(void* buffer, uintptr_t multiple = 16)
      : begin_(reinterpret_cast<uintptr_t>(buffer)), at_(begin_), multiple_(multiple) {}

  template <class Part>
  PYREC_INLINE Part* take(int64_t count) {
    auto* const part = reinterpret_cast<Part*>(at_);
    at_ += (static_cast<uintptr_t>(count) * sizeof(Part) + multiple_ - 1) / multiple_ * multiple_;
    return part;
  }

  PYREC_INLINE int64_t bytes() const { return static_cast<int64_t>(at_ - begin_); }

 private:
  uintptr_t begin_;
  uintptr_t at_;
  uintptr_t multiple_;
};

}  // namespace pyrec
