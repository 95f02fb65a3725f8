#include "common/cuda_check.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string device_name(int ordinal) {
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, ordinal) != cudaSuccess) return "unknown";
  return std::string(properties.name) + " (compute capability " + std::to_string(properties.major) + "." +
         std::to_string(properties.minor) + ")";
}

}  // namespace

kernels_on::kernels_on(const device& where) : table_(where.on_cpu() ? &kernels() : &cuda::table()) {
  if (where.on_cpu()) return;
  int current = device::cpu;
  cuda::check(cudaGetDevice(&current), "finding the current CUDA device");
  if (current == where.ordinal) return;
  cuda::check(cudaSetDevice(where.ordinal), "changing to " + device_text(where));
  previous_ = current;
}

kernels_on::~kernels_on() {
  if (previous_ != device::cpu) cudaSetDevice(previous_);
}

cuda_state find_cuda() {
  cuda_state state{.architectures = PYREC_CUDA_ARCHITECTURES, .driver = "absent", .devices = {}};
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0) return state;
  state.driver = version_text(version);
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) state.driver += std::string(", which says: ") + cudaGetErrorString(status);
  for (int ordinal = 0; status == cudaSuccess && ordinal < count; ++ordinal) {
    state.devices.push_back(device_name(ordinal));
  }
  return state;
}

}  // namespace pyrec
