#pragma once
// What a call of the CUDA runtime says became of it, as an exception.
#include <string>

#include "common/errors.hpp"

#ifdef PYREC_CUDA_ON_CPU
#include "cuda_on_cpu.hpp"
#else
#include <cuda_runtime_api.h>
#endif

namespace pyrec {

namespace cuda {

inline void check(cudaError_t error, const std::string& call) {
  if (error != cudaSuccess) throw cuda_error(call + ": " + cudaGetErrorString(error));
}

// After a launch: that it was accepted. A kernel that fails later is seen by a later call.
inline void check_launch(const char* kernel) {
  check(cudaGetLastError(), std::string("launch of ") + kernel);
}

}  // namespace cuda

}  // namespace pyrec
