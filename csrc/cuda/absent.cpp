#include "common/errors.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

kernels_on::kernels_on(const device& where) : table_(&kernels()) {
  if (where.on_cpu()) return;
  throw cuda_error("arrays are on " + device_text(where) +
                   ", but pyrec was built without CUDA kernels; install it again where nvcc is, with "
                   "-C cmake.define.PYREC_CUDA=ON");
}

kernels_on::~kernels_on() = default;

cuda_state find_cuda() { return {}; }

}  // namespace pyrec
