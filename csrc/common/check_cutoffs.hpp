#pragma once
// The cut-offs of metrics.
#include <string>

#include "common/check.hpp"

namespace pyrec {

// cutoffs: (num_cutoffs,), strictly ascending within 1 to `most`, which `bound` explains.
inline void check_cutoffs(const tensor& cutoffs, int64_t most, const char* bound) {
  const auto* values = cutoffs.data<const int64_t>();
  if (cutoffs.size(0) == 0) throw config_error("cutoffs is empty; pass one or more, like [10, 20]");
  for (int64_t c = 0; c < cutoffs.size(0); ++c) {
    const std::string at = "cutoffs[" + std::to_string(c) + "] = " + std::to_string(values[c]);
    if (values[c] < 1 || values[c] > most) {
      throw config_error(at + " is outside 1 to " + std::to_string(most) + bound);
    }
    if (c > 0 && values[c] <= values[c - 1]) {
      throw config_error(at + ", but the one before is " + std::to_string(values[c - 1]) +
                         "; pass each cut-off once, in ascending order");
    }
  }
}

// The cut-offs where they are checked and where the kernel runs.
struct cutoff_pair {
  tensor checked;   // (num_cutoffs,) on the CPU
  tensor at_place;  // the same numbers, at the kernel's place

  cutoff_pair(const py::object& source, const py::object& copy, int64_t most, const char* bound,
              const place& at)
      : checked(input(source, "cutoffs", dtype::int64, {any_size})),
        at_place(input(copy, "cutoffs_there", dtype::int64, {checked.size(0)}, at)) {
    check_cutoffs(checked, most, bound);
  }

  // Those of a device cannot be looked at; where they can, the checked ones are taken.
  const int64_t* values() const {
    return (at_place.where().on_cpu() ? checked : at_place).data<const int64_t>();
  }
};

}  // namespace pyrec
