// AVX-512 with products of bytes, which top-K alone makes use of: the other kernels are those of avx512.
#define PYREC_ISA avx512vnni
#define PYREC_VECTOR_BYTES 64
#include "isa/kernels.hpp"
#include "topk/scores_cpu.hpp"
#include "topk/topk_cpu.hpp"

namespace pyrec::avx512vnni {

extern const topk_kernels topk_table;
constinit const topk_kernels topk_table{.search = topk_search, .codes = has_codes, .select = topk_select};

}  // namespace pyrec::avx512vnni
