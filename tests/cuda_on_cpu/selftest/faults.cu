// Kernels with a fault each, which the emulation must find; and what is no fault.
#include "selftest.hpp"

using namespace selftest;

namespace {

// The mean of each value and its neighbours in a ring, in place. Without the barrier in the middle some
// threads read what others have already written.
template <bool with_barrier>
__global__ void smooth_kernel(float* values, int rounds) {
  DYNAMIC_SHARED(float, ring);
  const unsigned i = threadIdx.x, count = blockDim.x;
  ring[i] = values[i];
  for (int round = 0; round < rounds; ++round) {
    __syncthreads();
    const float mean = (ring[(i + count - 1) % count] + ring[i] + ring[(i + 1) % count]) / 3;
    if (with_barrier) __syncthreads();
    ring[i] = mean;
  }
  values[i] = ring[i];
}

template <bool with_barrier>
void print_smoothed() {
  auto values = table<float>(128, [](int i) { return static_cast<float>(i * i % 31); });
  LAUNCH(smooth_kernel<with_barrier>, 1, 128, 128 * sizeof(float), nullptr, values.data(), 2);
  for (const float value : values) std::printf("%a\n", static_cast<double>(value));
}

TEST_CASE(race_none) { print_smoothed<true>(); }
TEST_CASE(race_missing_syncthreads) { print_smoothed<false>(); }

// A shuffle does not order memory.
__global__ void missing_syncwarp_kernel(int* values) {
  const unsigned lane = threadIdx.x;
  values[lane] = static_cast<int>(lane);
  const unsigned next = __shfl_sync(whole_warp, lane, (lane + 1) % 32);
  values[lane + 32] = values[next];
}

TEST_CASE(race_missing_syncwarp) {
  std::vector<int> values(64);
  LAUNCH(missing_syncwarp_kernel, 1, 32, 0, nullptr, values.data());
}

// Every thread writes its own number to the same place.
__global__ void write_write_kernel(int* value) { *value = static_cast<int>(threadIdx.x); }

TEST_CASE(race_two_writes) {
  std::vector<int> value(1);
  LAUNCH(write_write_kernel, 1, 64, 0, nullptr, value.data());
  std::printf("%d\n", value[0]);
}

__global__ void read_kernel(const float* in, float* out, int offset) {
  out[threadIdx.x] = in[static_cast<int>(threadIdx.x) + offset];
}

void read_from(int offset) {
  const auto in = table<float>(64, [](int i) { return static_cast<float>(i); });
  std::vector<float> out(64);
  LAUNCH(read_kernel, 1, 64, 0, nullptr, in.data(), out.data(), offset);
  expect_equal("copy", out, in);
}

TEST_CASE(heap_inside) { read_from(0); }
TEST_CASE(heap_overrun) { read_from(1); }
TEST_CASE(heap_underrun) { read_from(-1); }

__global__ void dynamic_kernel(float* out, int written, int read) {
  DYNAMIC_SHARED(float, values);
  for (int i = static_cast<int>(threadIdx.x); i < written; i += static_cast<int>(blockDim.x)) values[i] = 1;
  __syncthreads();
  out[threadIdx.x] = values[read];
}

// Of 50 floats.
void use_dynamic_shared(int written, int read) {
  std::vector<float> out(32);
  LAUNCH(dynamic_kernel, 2, 32, 50 * sizeof(float), nullptr, out.data(), written, read);
  expect_equal("shared", out, std::vector<float>(32, 1));
}

TEST_CASE(shared_inside) { use_dynamic_shared(50, 49); }
TEST_CASE(shared_read_overrun) { use_dynamic_shared(50, 50); }
TEST_CASE(shared_write_overrun) { use_dynamic_shared(51, 0); }

__global__ void static_kernel(float* out, int index) {
  __shared__ float values[32];
  values[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = values[static_cast<int>(threadIdx.x) + index];
}

TEST_CASE(static_shared_overrun) {
  std::vector<float> out(32);
  LAUNCH(static_kernel, 1, 32, 0, nullptr, out.data(), 1);
}

template <class V>
__global__ void load_kernel(const float* in, float* out) {
  const V value = pyrec::cuda::load_vector<V>(in);
  pyrec::cuda::store_vector(out, value);
}

__global__ void ldg_kernel(const float* in, float* out) {
  *out = __ldg(reinterpret_cast<const float2*>(in)).x;
}

__global__ void plain_load_kernel(const float* in, float* out) {
  *out = reinterpret_cast<const float2*>(in)->x;
}

struct aligned_floats {
  alignas(16) float values[16] = {};
};

TEST_CASE(aligned_store) {
  aligned_floats in, out;
  LAUNCH(load_kernel<float4>, 1, 1, 0, nullptr, in.values + 4, out.values + 8);
}
TEST_CASE(misaligned_load) {
  aligned_floats in, out;
  LAUNCH(load_kernel<float4>, 1, 1, 0, nullptr, in.values + 2, out.values);
}
TEST_CASE(misaligned_store) {
  aligned_floats in, out;
  LAUNCH(load_kernel<uint2>, 1, 1, 0, nullptr, in.values, out.values + 1);
}
TEST_CASE(misaligned_ldg) {
  aligned_floats in, out;
  LAUNCH(ldg_kernel, 1, 1, 0, nullptr, in.values + 1, out.values);
}
TEST_CASE(misaligned_plain_load) {
  aligned_floats in, out;
  LAUNCH(plain_load_kernel, 1, 1, 0, nullptr, in.values + 1, out.values);
}

// Half of the threads goes round the barrier, and waits at another.
__global__ void two_places_kernel(int* out) {
  if (threadIdx.x < 64) {
    __syncthreads();
  } else {
    out[threadIdx.x] = 1;
    __syncthreads();
  }
}

// One lane goes on to the barrier of the block while the rest of its warp waits for it.
__global__ void warp_and_block_kernel(int* out) {
  if (threadIdx.x < 32) {
    out[threadIdx.x] = static_cast<int>(__ballot_sync(whole_warp, threadIdx.x == 3));
  }
  if (threadIdx.x != 40) __syncwarp();
  __syncthreads();
}

__global__ void two_masks_kernel(int* out) {
  const unsigned mask = threadIdx.x < 16 ? whole_warp : 0xFFFF0000u;
  out[threadIdx.x] = __shfl_sync(mask, static_cast<int>(threadIdx.x), 16);
  __syncwarp();
}

__global__ void outside_mask_kernel(int* out) {
  out[threadIdx.x] = __shfl_sync(0xFFFFu, static_cast<int>(threadIdx.x), 0);
}

// The last 28 threads have no work, and skip the loop's barrier; had they returned, all would be well.
__global__ void skipped_barrier_kernel(int* out, int count) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < count) {
    __syncthreads();
    out[i] = 1;
  }
  __syncwarp();
  __syncthreads();
}

__global__ void width_kernel(int* out) { out[threadIdx.x] = __shfl_down_sync(whole_warp, 1, 1, 12); }

// A macro, so that a message has the kernel's name.
#define RUN_ON_INTS(kernel, threads, ...)                                          \
  do {                                                                             \
    std::vector<int> out(threads);                                                 \
    LAUNCH(kernel, 1, threads, 0, nullptr, out.data() __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)

TEST_CASE(divergent_two_places) { RUN_ON_INTS(two_places_kernel, 128); }
TEST_CASE(divergent_warp_and_block) { RUN_ON_INTS(warp_and_block_kernel, 64); }
TEST_CASE(divergent_two_masks) { RUN_ON_INTS(two_masks_kernel, 32); }
TEST_CASE(divergent_outside_mask) { RUN_ON_INTS(outside_mask_kernel, 32); }
TEST_CASE(divergent_skipped_barrier) { RUN_ON_INTS(skipped_barrier_kernel, 128, 100); }
TEST_CASE(bad_width) { RUN_ON_INTS(width_kernel, 32); }

__global__ void absent_lane_kernel(float* out) {
  const float value = static_cast<float>(threadIdx.x);
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xFFFFu, value, 20);
}

TEST_CASE(absent_lane) {
  std::vector<float> out(16);
  LAUNCH(absent_lane_kernel, 1, 32, 0, nullptr, out.data());
  std::printf("%s\n", std::isnan(out[0]) && std::isnan(out[15]) ? "nan" : "number");
}

}  // namespace
