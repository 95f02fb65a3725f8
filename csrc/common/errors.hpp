#pragma once
// What the kernels' host code throws; each becomes the error of its name in pyrec.errors.
#include <stdexcept>

namespace pyrec {

struct data_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct config_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct cuda_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace pyrec
