// Tensor cores, and copies that run beside the threads.
#include <bit>

#include "common/cuda_tensor.cuh"
#include "selftest.hpp"

using namespace selftest;

namespace {

uint32_t word_of(float low, float high) {
  return (std::bit_cast<uint32_t>(high) & 0xFFFF0000) | (std::bit_cast<uint32_t>(low) >> 16);
}

// a: (16, 8) words, b: (8, 8) words by column, c: (16, 8)
__global__ void product_kernel(const uint32_t* a, const uint32_t* b, float* c) {
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  const uint32_t left[4] = {a[g * 8 + t], a[(g + 8) * 8 + t], a[g * 8 + t + 4], a[(g + 8) * 8 + t + 4]};
  const uint32_t right[2] = {b[g * 8 + t], b[g * 8 + t + 4]};
  float sum[4];
  for (int i = 0; i < 4; ++i) sum[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  pyrec::cuda::multiply_add(sum, left, right);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

TEST_CASE(tensor_products) {
  const auto number = [](int i, int j) { return static_cast<float>((3 * i + 5 * j + i * j) % 9 - 4); };
  std::vector<uint32_t> a, b;
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; k += 2) a.push_back(word_of(number(row, k), number(row, k + 1)));
  }
  for (int column = 0; column < 8; ++column) {
    for (int k = 0; k < 16; k += 2) b.push_back(word_of(number(k, column + 1), number(k + 1, column + 1)));
  }
  auto c = table<float>(128, [](int i) { return static_cast<float>(i); });
  LAUNCH(product_kernel, 1, 32, 0, nullptr, a.data(), b.data(), c.data());
  expect_equal("product", c, table<float>(128, [&](int i) {
                 auto sum = static_cast<float>(i);
                 for (int k = 0; k < 16; ++k) sum += number(i / 8, k) * number(k, i % 8 + 1);
                 return sum;
               }));
}

__global__ void copy_kernel(const uint4* from, uint32_t* early, uint4* to) {
  __shared__ uint4 there[64];
  pyrec::cuda::start_copy(&there[threadIdx.x], from + threadIdx.x);
  early[threadIdx.x] = there[threadIdx.x].x;
  pyrec::cuda::end_copies();
  __syncthreads();
  to[threadIdx.x] = there[63 - threadIdx.x];
}

TEST_CASE(copies_beside_threads) {
  std::vector<uint4> from, to(64);
  for (unsigned i = 0; i < 64; ++i) from.push_back(make_uint4(i, 2 * i, 3 * i, 4 * i));
  std::vector<uint32_t> early(64);
  LAUNCH(copy_kernel, 1, 64, 0, nullptr, from.data(), early.data(), to.data());
  expect_equal("before the end", early, table<uint32_t>(64, [](int) { return 0xFFFFFFFFu; }));
  const auto last = [](const std::vector<uint4>& v) {
    return table<uint32_t>(64, [&](int i) { return v[static_cast<size_t>(i)].w; });
  };
  expect_equal("behind it", last(to), table<uint32_t>(64, [](int i) { return 4u * (63u - i); }));
}

}  // namespace
