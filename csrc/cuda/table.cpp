#include "cuda/cuda.hpp"

namespace pyrec::cuda {

combine_kernels combine();
propagate_kernels propagate();

// A room without CUDA kernels has an empty entry; its binding takes arrays on the CPU alone.
const kernel_table& table() {
  static const kernel_table kernels{
      .isa = "cuda",
      .propagate = propagate(),
      .combine = combine(),
      .bpr = {},
      .topk = {},
      .metrics = {},
      .sample = {},
  };
  return kernels;
}

}  // namespace pyrec::cuda
