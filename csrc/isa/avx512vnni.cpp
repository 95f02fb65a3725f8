// AVX-512 with products of bytes, which top-K alone makes use of: the other kernels are those of avx512.
#define PYREC_ISA avx512vnni
#define PYREC_VECTOR_BYTES 64
#include "isa/kernels.hpp"
#include "topk/topk_cpu.hpp"

namespace pyrec {

namespace avx512 {
extern const kernel_table table;
}

namespace avx512vnni {

namespace {

kernel_table with_codes(kernel_table kernels) {
  kernels.isa = "avx512vnni";
  kernels.topk = {.search = topk_search, .codes = has_codes};
  return kernels;
}

}  // namespace

extern const kernel_table table;
const kernel_table table = with_codes(avx512::table);

}  // namespace avx512vnni

}  // namespace pyrec
