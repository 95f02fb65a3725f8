#include "combine/attention_grad_cuda.cuh"
#include "combine/self_attention_grad_cuda.cuh"
#include "combine/weighted_cuda.cuh"

namespace pyrec::cuda {

combine_kernels combine() {
  return {
      .in_stripes = true,
      .weighted = {combine_weighted<float>, combine_weighted<double>},
      .weighted_grad = {combine_weighted_grad<float>, combine_weighted_grad<double>},
      .attention = {combine_attention<float>, combine_attention<double>},
      .attention_grad = {combine_attention_grad<float>, combine_attention_grad<double>},
      .self_attention = {combine_self_attention<float>, combine_self_attention<double>},
      .self_attention_grad = {combine_self_attention_grad<float>, combine_self_attention_grad<double>},
  };
}

}  // namespace pyrec::cuda
