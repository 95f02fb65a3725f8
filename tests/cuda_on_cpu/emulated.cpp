// In place of csrc/cuda/runtime.cpp in the module that runs the CUDA kernels on the CPU.
#include <pybind11/pybind11.h>

#include "cuda/cuda.hpp"
#include "launch.hpp"

namespace pyrec {

kernels_on::kernels_on(const device&) : table_(&cuda::table()) {}
kernels_on::~kernels_on() = default;

cuda_state find_cuda() { return {.architectures = "emulated", .driver = "emulated", .devices = {}}; }

void bind_emulator(pybind11::module_& m) {
  m.def("num_launches", [] { return cuda_on_cpu::num_launches.load(); }, "Kernels launched so far.");
}

}  // namespace pyrec
