#pragma once
// CUDA kernels on a CPU, for tests: g++ compiles a .cu file unchanged (-x c++ -std=c++20 -DPYREC_CUDA_ON_CPU
// -ffp-contract=off -fno-strict-aliasing) and runs it with one fiber for each CUDA thread.
//
// What is caught, with a message and an abort:
// - threads that wait where the others never come: __syncthreads and the warp's operations in other places,
//   with other masks, or by a thread outside its mask (threads that have returned are not waited for);
// - a vector load that is not aligned, through load_vector, store_vector, __ldg and its kin;
//   -fsanitize=alignment catches the rest;
// - a write past the dynamic shared memory;
//   under -fsanitize=address every access past it, or past a heap array;
// - a launch that a GPU would refuse comes back as a cudaError_t, as there.
// What shows as a result that differs from the right one, or between two seeds:
// - a race: threads run in an order drawn from PYREC_EMULATION_SEED, drawn anew at each barrier;
// - shared memory read before it is written: it is filled with 0xFF, a NaN as a float, before each block;
// - a lane read that takes no part in a shuffle: it gives 0xFF too.
// Under -fsanitize=thread a race between threads of one block is reported whatever its outcome.
//
// Blocks run side by side on OpenMP's threads, where it is on. A thread gives way only at a barrier, an
// operation of the warp or __nanosleep: threads of one block that wait for each other in any other way hang.
#include "arithmetic.hpp"
#include "atomics.hpp"
#include "fiber.hpp"
#include "launch.hpp"
#include "memory.hpp"
#include "qualifiers.hpp"
#include "runtime.hpp"
#include "tensor.hpp"
#include "vectors.hpp"
#include "warp.hpp"
