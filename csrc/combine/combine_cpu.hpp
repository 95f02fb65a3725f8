#pragma once
#include "combine/attention_cpu.hpp"
#include "combine/self_attention_cpu.hpp"
#include "combine/weighted_cpu.hpp"

namespace pyrec::PYREC_ISA {

constexpr combine_kernels combine_table{
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
    .self_attention_grad_f64 = combine_self_attention_grad<double>,
};

}  // namespace pyrec::PYREC_ISA
