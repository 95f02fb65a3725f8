#pragma once
// Tensor cores and copies into shared memory that run beside the threads: what has no function in CUDA C++.
// Like cuda_launch.cuh this file knows which compiler reads it.
#include "common/cuda_launch.cuh"

namespace pyrec::cuda {

// c += a b for a warp: a is (16, 16), b (16, 8), both bfloat16, two to a word, the lower half first; c is
// (16, 8). With g = lane / 4 and t = lane % 4 a lane holds
//   a: rows g, g + 8, g, g + 8 at columns 2t, 2t, 2t + 8, 2t + 8 and the next
//   b: rows 2t, 2t + 8 and the next at column g
//   c: row g at columns 2t, 2t + 1, then row g + 8
// (PTX ISA, mma.m16n8k16). In which order a sum's 17 terms are added, and how they are rounded, is the
// device's.
__device__ __forceinline__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef PYREC_CUDA_ON_CPU
  ::cuda_on_cpu::multiply_add(c, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// 16 bytes from global to shared memory, both at multiples of 16; there once end_copies has returned.
__device__ __forceinline__ void start_copy(void* shared, const void* global) {
#ifdef PYREC_CUDA_ON_CPU
  ::cuda_on_cpu::start_copy(shared, global);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(global)
               : "memory");
#endif
}

// Waits for all copies that this thread has started.
__device__ __forceinline__ void end_copies() {
#ifdef PYREC_CUDA_ON_CPU
  ::cuda_on_cpu::end_copies();
#else
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

}  // namespace pyrec::cuda
