// Vector loads, atomics, and the runtime.
#include <cstring>

#include "selftest.hpp"

using namespace selftest;

namespace {

template <class V>
__global__ void copy_kernel(const float* in, float* out, int vectors) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= vectors) return;
  const V value = pyrec::cuda::load_vector<V>(in + static_cast<size_t>(i) * (sizeof(V) / sizeof(float)));
  pyrec::cuda::store_vector(out + static_cast<size_t>(i) * (sizeof(V) / sizeof(float)), value);
}

template <class V>
void check_copy() {
  const auto in = table<float>(960, [](int i) { return static_cast<float>(i); });
  alignas(16) float from[960], to[960] = {};
  std::memcpy(from, in.data(), sizeof from);
  LAUNCH(copy_kernel<V>, 8, 128, 0, nullptr, from, to, static_cast<int>(960 * sizeof(float) / sizeof(V)));
  expect_equal("copy", std::vector<float>(to, to + 960), in);
}

TEST_CASE(vector_copies) {
  check_copy<float2>();
  check_copy<float4>();
  check_copy<uint2>();
  check_copy<uint4>();
  check_copy<int4>();
  check_copy<double2>();
  check_copy<longlong2>();
}

__global__ void cached_kernel(const float4* in, float4* out) {
  const float4 a = __ldg(in), b = __ldcg(in + 1), c = __ldcs(in + 2);
  const float4 sum = make_float4(a.x + b.x + c.x, a.y + b.y + c.y, a.z + b.z + c.z, a.w + b.w + c.w);
  __stcs(out, sum);
  __stcg(out + 1, sum);
}

TEST_CASE(cached_loads) {
  const float4 in[3] = {{1, 2, 3, 4}, {10, 20, 30, 40}, {100, 200, 300, 400}};
  float4 out[2];
  LAUNCH(cached_kernel, 1, 1, 0, nullptr, in, out);
  const std::vector<float> got = {out[0].x, out[0].y, out[0].z, out[0].w,
                                  out[1].x, out[1].y, out[1].z, out[1].w};
  expect_equal("sum", got, {111, 222, 333, 444, 111, 222, 333, 444});
}

template <class T>
__global__ void add_kernel(const int* bins, T* counts, int count) {
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < count;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    atomicAdd(&counts[bins[i]], T{1});
  }
}

template <class T>
void check_histogram(const char* what) {
  const auto bins = table<int>(5000, [](int i) { return i * i % 17; });
  std::vector<T> counts(17), wanted(17);
  for (const int bin : bins) wanted[static_cast<size_t>(bin)] += 1;
  LAUNCH(add_kernel<T>, 4, 96, 0, nullptr, bins.data(), counts.data(), static_cast<int>(bins.size()));
  expect_equal(what, counts, wanted);
}

TEST_CASE(histograms) {
  check_histogram<int>("int");
  check_histogram<unsigned>("unsigned");
  check_histogram<unsigned long long>("unsigned long long");
  check_histogram<float>("float");
  check_histogram<double>("double");
}

__global__ void atomics_kernel(int* ints, unsigned* words, unsigned long long* wide) {
  const unsigned i = threadIdx.x;
  atomicMax(&ints[0], static_cast<int>(i * 37 % 100) - 50);
  atomicMin(&ints[1], static_cast<int>(i * 37 % 100) - 50);
  atomicSub(&ints[2], 2);
  atomicOr(&words[0], 1u << i % 32);
  atomicAnd(&words[1], ~(1u << i % 8));
  atomicXor(&words[2], i);
  atomicInc(&words[3], 6u);
  if (i == 5) atomicExch(&words[4], 77u);
  atomicMax(&wide[0], static_cast<unsigned long long>(i) << 40);
  // The greatest value, with the lowest index among equals.
  unsigned long long old = 0;
  const unsigned long long mine = static_cast<unsigned long long>(i % 10) << 32 | (0xFFFFFFFF - i);
  while (mine > old) {
    const unsigned long long seen = atomicCAS(&wide[1], old, mine);
    if (seen == old) break;
    old = seen;
  }
}

TEST_CASE(atomics) {
  std::vector<int> ints = {-1000, 1000, 0};
  std::vector<unsigned> words = {0, 0xFFFFFFFF, 0, 0, 1};
  std::vector<unsigned long long> wide = {0, 0};
  LAUNCH(atomics_kernel, 1, 100, 0, nullptr, ints.data(), words.data(), wide.data());
  expect_equal("ints", ints, {49, -50, -200});
  // 0 ^ 1 ^ ... ^ 99 = 0, as 99 % 4 is 3; 100 steps around 7 end at 2.
  expect_equal("words", words, {0xFFFFFFFF, 0xFFFFFF00, 0, 2, 77});
  expect_equal("wide", wide, {99ull << 40, 9ull << 32 | (0xFFFFFFFF - 9)});
}

__global__ void nothing_kernel() {}

template <class Call>
void expect_refused(const char* what, const std::string& why, const Call& call) {
  try {
    call();
  } catch (const pyrec::cuda_error& error) {
    if (std::string(error.what()) == why) return;
    std::fprintf(stderr, "%s: refused with \"%s\"\n", what, error.what());
    std::exit(1);
  }
  std::fprintf(stderr, "%s: not refused\n", what);
  std::exit(1);
}

TEST_CASE(refused_launches) {
  const std::string configuration = "launch of nothing_kernel: invalid configuration argument";
  expect_refused("1025 threads", configuration, [] { LAUNCH(nothing_kernel, 1, 1025, 0, nullptr); });
  expect_refused("no blocks", configuration, [] { LAUNCH(nothing_kernel, 0, 32, 0, nullptr); });
  expect_refused("65536 blocks in y", configuration,
                 [] { LAUNCH(nothing_kernel, dim3(1, 65536), 32, 0, nullptr); });
  expect_refused("49 KB of shared memory", "launch of nothing_kernel: invalid argument",
                 [] { LAUNCH(nothing_kernel, 1, 32, 49 << 10, nullptr); });
  const auto limit = cudaFuncAttributeMaxDynamicSharedMemorySize;
  pyrec::cuda::check(cudaFuncSetAttribute(nothing_kernel, limit, 64 << 10), "cudaFuncSetAttribute");
  LAUNCH(nothing_kernel, 1, 32, 49 << 10, nullptr);
}

TEST_CASE(runtime_calls) {
  std::vector<int> from = {1, 2, 3, 4}, to(4);
  pyrec::cuda::check(cudaMemcpyAsync(to.data(), from.data(), 16, cudaMemcpyDefault, nullptr),
                     "cudaMemcpyAsync");
  pyrec::cuda::check(cudaMemsetAsync(to.data(), 0xFF, 8, nullptr), "cudaMemsetAsync");
  expect_equal("copied and set", to, {-1, -1, 3, 4});
  int processors = 0;
  pyrec::cuda::check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0),
                     "cudaDeviceGetAttribute");
  expect_equal("processors", std::vector<int>{processors}, {132});
  expect_refused("device 1", "cudaSetDevice: invalid device ordinal",
                 [] { pyrec::cuda::check(cudaSetDevice(1), "cudaSetDevice"); });
}

}  // namespace
