// What the threads of a block do together, and shared memory.
#include <numeric>

#include "selftest.hpp"

using namespace selftest;

namespace {

template <class T, int threads>
__global__ void __launch_bounds__(threads)
    sum_kernel(const T* __restrict__ in, T* __restrict__ out, int count) {
  __shared__ T parts[threads / 32];
  T total = 0;
  for (unsigned i = blockIdx.x * threads + threadIdx.x; i < static_cast<unsigned>(count);
       i += gridDim.x * threads) {
    total += in[i];
  }
  for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(whole_warp, total, step);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < threads / 32; ++i) total += parts[i];
  out[blockIdx.x] = total;
}

TEST_CASE(sums) {
  const auto in = table<double>(10007, [](int i) { return i % 13; });
  std::vector<double> out(9);
  LAUNCH((sum_kernel<double, 256>), 9, 256, 0, nullptr, in.data(), out.data(), static_cast<int>(in.size()));
  const double total = std::accumulate(out.begin(), out.end(), 0.0);
  expect_equal("sum", std::vector<double>{total}, {std::accumulate(in.begin(), in.end(), 0.0)});
}

__global__ void scan_kernel(const int* in, int* out) {
  DYNAMIC_SHARED(int, sums);
  const unsigned i = threadIdx.x;
  sums[i] = in[i];
  for (unsigned step = 1; step < blockDim.x; step *= 2) {
    __syncthreads();
    const int before = i >= step ? sums[i - step] : 0;
    __syncthreads();
    sums[i] += before;
  }
  out[i] = sums[i];
}

TEST_CASE(scans) {
  for (const int threads : {1, 31, 33, 300, 1024}) {
    const auto in = table<int>(threads, [](int i) { return i * 7 % 5; });
    std::vector<int> out(in.size()), wanted(in.size());
    LAUNCH(scan_kernel, 1, static_cast<unsigned>(threads), in.size() * sizeof(int), nullptr, in.data(),
           out.data());
    std::partial_sum(in.begin(), in.end(), wanted.begin());
    expect_equal("scan", out, wanted);
  }
}

constexpr int tile_rows = 32, rows_at_once = 8;

__global__ void transpose_kernel(const float* in, float* out, int rows, int cols) {
  __shared__ float tile[tile_rows][tile_rows + 1];
  const int col = static_cast<int>(blockIdx.x * tile_rows + threadIdx.x);
  const int first_row = static_cast<int>(blockIdx.y * tile_rows + threadIdx.y);
  for (int i = 0; i < tile_rows; i += rows_at_once) {
    if (first_row + i < rows && col < cols)
      tile[threadIdx.y + i][threadIdx.x] = in[(first_row + i) * cols + col];
  }
  __syncthreads();
  const int out_col = static_cast<int>(blockIdx.y * tile_rows + threadIdx.x);
  const int out_row = static_cast<int>(blockIdx.x * tile_rows + threadIdx.y);
  for (int i = 0; i < tile_rows; i += rows_at_once) {
    if (out_row + i < cols && out_col < rows) {
      out[(out_row + i) * rows + out_col] = tile[threadIdx.x][threadIdx.y + i];
    }
  }
}

TEST_CASE(transposes) {
  const int rows = 77, cols = 41;
  const auto in = table<float>(rows * cols, [](int i) { return static_cast<float>(i); });
  std::vector<float> out(in.size());
  LAUNCH(transpose_kernel, dim3(2, 3), dim3(tile_rows, rows_at_once), 0, nullptr, in.data(), out.data(), rows,
         cols);
  expect_equal("transpose", out,
               table<float>(rows * cols, [&](int i) { return in[i % rows * cols + i / rows]; }));
}

__global__ void predicate_kernel(int* out) {
  const int i = static_cast<int>(threadIdx.x);
  int* const row = out + i * 5;
  row[0] = __syncthreads_count(i % 3 == 0);
  row[1] = __syncthreads_or(i == 70) != 0;
  row[2] = __syncthreads_or(i == 99) != 0;
  row[3] = __syncthreads_and(i < 99) != 0;
  row[4] = __syncthreads_and(i < 70) != 0;
}

TEST_CASE(barriers_with_predicates) {
  std::vector<int> out(99 * 5);
  LAUNCH(predicate_kernel, 1, 99, 0, nullptr, out.data());
  const int row[5] = {33, 1, 0, 1, 0};
  expect_equal("predicates", out, table<int>(99 * 5, [&](int i) { return row[i % 5]; }));
}

// A third of the threads is gone before the first barrier, and one after each.
__global__ void leaving_kernel(int* out) {
  const int i = static_cast<int>(threadIdx.x);
  if (i % 3 == 0) return;
  int rounds = 0;
  do out[i] = __syncthreads_count(1);
  while (++rounds <= i);
}

TEST_CASE(threads_that_leave) {
  std::vector<int> out(60);
  LAUNCH(leaving_kernel, 1, 60, 0, nullptr, out.data());
  // Thread i is last there with those from i on.
  expect_equal("live threads", out, table<int>(60, [](int i) {
                 int live = 0;
                 for (int j = i; j < 60; ++j) live += j % 3 != 0;
                 return i % 3 == 0 ? 0 : live;
               }));
}

__global__ void index_kernel(int* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1 + static_cast<int>(thread);
}

TEST_CASE(indices) {
  std::vector<int> out(24 * 105);
  LAUNCH(index_kernel, dim3(2, 3, 4), dim3(5, 7, 3), 0, nullptr, out.data());
  expect_equal("each once", out, table<int>(24 * 105, [](int i) { return 1 + i % 105; }));
}

__global__ void uninitialised_kernel(int* out) {
  DYNAMIC_SHARED(float, dynamic_values);
  __shared__ float static_values[4];
  __shared__ double static_value;
  if (threadIdx.x == 0) {
    out[blockIdx.x] = (dynamic_values[3] != dynamic_values[3]) + 2 * (static_values[2] != static_values[2]) +
                      4 * (static_value != static_value);
  }
  __syncthreads();
  dynamic_values[threadIdx.x] = static_values[threadIdx.x] = 0;
  if (threadIdx.x == 0) static_value = 0;
}

// No guarantee of CUDA's, but what the emulation leaves there.
TEST_CASE(garbage_in_shared_memory) {
  std::vector<int> out(6);
  LAUNCH(uninitialised_kernel, 6, 4, 4 * sizeof(float), nullptr, out.data());
  expect_equal("garbage", out, std::vector<int>(6, 7));
}

__global__ void last_block_kernel(const int* in, int* parts, unsigned* arrived, int* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = in[blockIdx.x] * 2;
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  __threadfence();
  int total = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) total += parts[i];
  *out = total;
}

TEST_CASE(last_block_adds_up) {
  const auto in = table<int>(50, [](int i) { return i * i; });
  std::vector<int> parts(in.size()), out(1);
  unsigned arrived = 0;
  LAUNCH(last_block_kernel, 50, 32, 0, nullptr, in.data(), parts.data(), &arrived, out.data());
  expect_equal("total", out, {2 * std::accumulate(in.begin(), in.end(), 0)});
}

// A thread that spins lets the others go on.
__global__ void flag_kernel(unsigned* flag, int* out) {
  if (threadIdx.x == 0) {
    atomicExch(flag, 1u);
    return;
  }
  while (atomicAdd(flag, 0u) == 0) __nanosleep(20);
  out[threadIdx.x] = 1;
}

TEST_CASE(spinning) {
  unsigned flag = 0;
  std::vector<int> out(64);
  LAUNCH(flag_kernel, 1, 64, 0, nullptr, &flag, out.data());
  expect_equal("past the flag", out, table<int>(64, [](int i) { return i == 0 ? 0 : 1; }));
}

}  // namespace
