#include "cuda/cuda.hpp"

namespace pyrec::cuda {

propagate_kernels propagate();
bpr_kernels bpr();
metrics_kernels metrics();
sample_kernels sample();
topk_kernels topk();

// A room without CUDA kernels has an empty entry; its binding takes arrays on the CPU alone.
const kernel_table& table() {
  static const kernel_table kernels{
      .isa = "cuda",
      .propagate = propagate(),
      .combine = {},
      .bpr = bpr(),
      .topk = topk(),
      .metrics = metrics(),
      .sample = sample(),
  };
  return kernels;
}

}  // namespace pyrec::cuda
