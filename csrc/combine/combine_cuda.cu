#include "combine/attention_grad_cuda.cuh"
#include "combine/self_attention_grad_cuda.cuh"
#include "combine/weighted_cuda.cuh"

namespace pyrec::cuda {

combine_kernels combine() {
  return {.in_slots = true,
          .weighted_f32 = combine_weighted<float>,
          .weighted_f64 = combine_weighted<double>,
          .weighted_grad_f32 = combine_weighted_grad<float>,
          .weighted_grad_f64 = combine_weighted_grad<double>,
          .attention_f32 = combine_attention<float>,
          .attention_f64 = combine_attention<double>,
          .attention_grad_f32 = combine_attention_grad<float>,
          .attention_grad_f64 = combine_attention_grad<double>,
          .self_attention_f32 = combine_self_attention<float>,
          .self_attention_f64 = combine_self_attention<double>,
          .self_attention_grad_f32 = combine_self_attention_grad<float>,
          .self_attention_grad_f64 = combine_self_attention_grad<double>};
}

}  // namespace pyrec::cuda
