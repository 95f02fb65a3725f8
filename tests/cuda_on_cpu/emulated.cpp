// In place of csrc/cuda/runtime.cpp in the module that runs the CUDA kernels on the CPU.
#include "cuda/cuda.hpp"

namespace pyrec {

kernels_on::kernels_on(const device&) : table_(&cuda::table()) {}
kernels_on::~kernels_on() = default;

cuda_state find_cuda() { return {.architectures = "emulated", .driver = "emulated", .devices = {}}; }

}  // namespace pyrec
