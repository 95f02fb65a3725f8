// CUDA's arithmetic functions, beside what they mean bit by bit or in double precision.
#include <cstdint>

#include "selftest.hpp"

using namespace selftest;

namespace {

__global__ void bits_kernel(const unsigned* in, unsigned* out) {
  const unsigned x = in[threadIdx.x], y = in[(threadIdx.x + 1) % blockDim.x];
  unsigned* const row = out + threadIdx.x * 10;
  row[0] = static_cast<unsigned>(__popc(x));
  row[1] = static_cast<unsigned>(__clz(static_cast<int>(x)));
  row[2] = static_cast<unsigned>(__ffs(static_cast<int>(x)));
  row[3] = __brev(x);
  row[4] = __umulhi(x, y);
  const unsigned long long wide = static_cast<unsigned long long>(x) << 32 | y;
  row[5] = static_cast<unsigned>(__umul64hi(wide, wide));
  row[6] = static_cast<unsigned>(__popcll(wide) + 100 * __clzll(static_cast<long long>(wide)));
  row[7] = static_cast<unsigned>(__brevll(wide));
  row[8] = __float_as_uint(__uint_as_float(x & 0x7F7FFFFF));
  row[9] = __funnelshift_l(x, y, 5) ^ __funnelshift_r(x, y, 9);
}

unsigned reversed(unsigned x) {
  unsigned result = 0;
  for (int i = 0; i < 32; ++i) result |= (x >> i & 1) << (31 - i);
  return result;
}

int first_set_from_top(unsigned x) {
  int zeros = 0;
  for (; zeros < 32 && (x >> (31 - zeros) & 1) == 0; ++zeros) {
  }
  return zeros;
}

int ones(unsigned x) {
  int count = 0;
  for (int i = 0; i < 32; ++i) count += static_cast<int>(x >> i & 1);
  return count;
}

// The upper 64 bits of (x 2^32 + y)^2, by its four products.
uint64_t upper_square(unsigned x, unsigned y) {
  const uint64_t low = uint64_t{y} * y, middle = uint64_t{x} * y, high = uint64_t{x} * x;
  const uint64_t carry = ((low >> 32) + 2 * (middle & 0xFFFFFFFF)) >> 32;
  return high + 2 * (middle >> 32) + carry;
}

TEST_CASE(bits) {
  const std::vector<unsigned> in = {0, 1, 2, 0x80000000, 0xFFFFFFFF, 0x12345678, 0x00FF00F0, 77};
  const int count = static_cast<int>(in.size());
  std::vector<unsigned> out(in.size() * 10);
  LAUNCH(bits_kernel, 1, static_cast<unsigned>(count), 0, nullptr, in.data(), out.data());
  const auto wanted = table<unsigned>(count * 10, [&](int i) {
    const unsigned x = in[i / 10], y = in[(i / 10 + 1) % count];
    const int zeros = x == 0 ? 32 + first_set_from_top(y) : first_set_from_top(x);
    const unsigned row[10] = {unsigned(ones(x)),
                              unsigned(first_set_from_top(x)),
                              x == 0 ? 0 : unsigned(first_set_from_top(reversed(x)) + 1),
                              reversed(x),
                              unsigned(uint64_t{x} * y >> 32),
                              unsigned(upper_square(x, y)),
                              unsigned(ones(x) + ones(y) + 100 * zeros),
                              reversed(x),
                              x & 0x7F7FFFFF,
                              (y << 5 | x >> 27) ^ (x >> 9 | y << 23)};
    return row[i % 10];
  });
  expect_equal("bits", out, wanted);
}

constexpr int num_functions = 13;

__global__ void functions_kernel(const float* in, float* out) {
  const float x = in[threadIdx.x];
  float* const row = out + threadIdx.x * num_functions;
  row[0] = rsqrtf(x);
  row[1] = __expf(x);
  row[2] = __logf(x);
  row[3] = __sinf(x);
  row[4] = __cosf(x);
  row[5] = __fdividef(1, x);
  row[6] = tanhf(x);
  row[7] = fmaf(x, x, 1);
  row[8] = __fmaf_rn(x, x, -x);
  row[9] = __frcp_rn(x);
  row[10] = __fsqrt_rn(x);
  row[11] = __log2f(x);
  row[12] = __powf(x, 1.5f);
}

TEST_CASE(functions) {
  const std::vector<float> in = {0.25f, 0.5f, 0.9f, 1.1f, 1.5f, 2, 2.75f, 3};
  std::vector<float> out(in.size() * num_functions);
  LAUNCH(functions_kernel, 1, 8, 0, nullptr, in.data(), out.data());
  for (size_t i = 0; i < out.size(); ++i) {
    const double x = in[i / num_functions];
    const double wanted[num_functions] = {
        1 / std::sqrt(x), std::exp(x), std::log(x), std::sin(x),  std::cos(x),  1 / x,           std::tanh(x),
        x * x + 1,        x * x - x,   1 / x,       std::sqrt(x), std::log2(x), std::pow(x, 1.5)};
    const double error = std::fabs(out[i] - wanted[i % num_functions]);
    if (error <= 1e-6 * (1 + std::fabs(wanted[i % num_functions]))) continue;
    std::fprintf(stderr, "function %zu of %g: error %g\n", i % num_functions, x, error);
    std::exit(1);
  }
}

__global__ void extremes_kernel(float* floats, long long* integers) {
  const float not_a_number = __uint_as_float(0x7FC00000);
  floats[0] = min(1.5f, -2.0f);
  floats[1] = max(1.5f, -2.0f);
  floats[2] = min(not_a_number, 3.0f);
  floats[3] = max(3.0f, not_a_number);
  floats[4] = static_cast<float>(min(2.5f, 1.0));
  floats[5] = fmaxf(not_a_number, 4.0f);
  integers[0] = min(-3, 4);
  integers[1] = max(7u, 9);
  integers[2] = min(1LL << 40, 5LL);
  integers[3] = __float2int_rn(2.5f) * 1000 + __float2int_rz(-2.7f) * 100 + __float2int_rd(-0.5f) * 10 +
                __float2int_ru(0.2f);
}

TEST_CASE(extremes) {
  std::vector<float> floats(6);
  std::vector<long long> integers(4);
  LAUNCH(extremes_kernel, 1, 1, 0, nullptr, floats.data(), integers.data());
  expect_equal("floats", floats, {-2, 1.5f, 3, 3, 1, 4});
  expect_equal("integers", integers, {-3, 9, 5, 2000 - 200 - 10 + 1});
}

}  // namespace
