#pragma once
// The way to kernels on a CUDA device. runtime.cpp is the one of a build with CUDA, absent.cpp that of a
// build without.
#include <string>
#include <vector>

#include "common/device.hpp"
#include "isa/kernels.hpp"

namespace pyrec {

namespace cuda {
const kernel_table& table();
}

// kernels_on(where)->room.kernel(args) calls the kernel of that device: on the CPU the instruction set in
// use, elsewhere CUDA's with that device current, and the one before restored. cuda_error where there is
// none.
class kernels_on {
 public:
  explicit kernels_on(const device& where);
  kernels_on(const kernels_on&) = delete;
  kernels_on& operator=(const kernels_on&) = delete;
  ~kernels_on();

  const kernel_table* operator->() const { return table_; }

 private:
  const kernel_table* table_;
  int previous_ = device::cpu;  // the device to restore
};

struct cuda_state {
  std::string architectures;  // built for; empty in a build without CUDA
  std::string driver;         // version, or why there is none
  std::vector<std::string> devices;
};

cuda_state find_cuda();

}  // namespace pyrec
