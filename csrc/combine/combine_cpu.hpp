#pragma once
#include "combine/attention_cpu.hpp"
#include "combine/self_attention_cpu.hpp"
#include "combine/weighted_cpu.hpp"

namespace pyrec::PYREC_ISA {

constexpr combine_kernels combine_table{
    .weighted = {combine_weighted<float>, combine_weighted<double>},
    .weighted_grad = {combine_weighted_grad<float>, combine_weighted_grad<double>},
    .attention = {combine_attention<float>, combine_attention<double>},
    .attention_grad = {combine_attention_grad<float>, combine_attention_grad<double>},
    .self_attention = {combine_self_attention<float>, combine_self_attention<double>},
    .self_attention_grad = {combine_self_attention_grad<float>, combine_self_attention_grad<double>},
};

}  // namespace pyrec::PYREC_ISA
