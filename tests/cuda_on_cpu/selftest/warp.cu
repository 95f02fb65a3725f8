// What the lanes of a warp do together.
#include <numeric>

#include "selftest.hpp"

using namespace selftest;

namespace {

enum form { index_form, up_form, down_form, xor_form, num_forms };

template <class T>
__global__ void shuffle_kernel(const T* in, T* out, int argument, int width) {
  const int lane = static_cast<int>(threadIdx.x);
  const T value = in[lane];
  out[index_form * 32 + lane] = __shfl_sync(whole_warp, value, lane + argument, width);
  out[up_form * 32 + lane] = __shfl_up_sync(whole_warp, value, argument, width);
  out[down_form * 32 + lane] = __shfl_down_sync(whole_warp, value, argument, width);
  out[xor_form * 32 + lane] = __shfl_xor_sync(whole_warp, value, argument, width);
}

// The lane that each lane reads, segment by segment.
int source_lane(int form, int lane, int argument, int width) {
  const int segment = lane / width * width, place = lane % width;
  if (form == index_form) return segment + (lane + argument) % width;
  if (form == up_form) return place < argument ? lane : lane - argument;
  if (form == down_form) return place + argument >= width ? lane : lane + argument;
  return (lane ^ argument) >= segment + width ? lane : lane ^ argument;
}

template <class T>
void check_shuffles(const char* what) {
  const auto in = table<T>(32, [](int i) { return static_cast<T>(T{1000003} * (i + 1) / 7); });
  for (int width = 1; width <= 32; width *= 2) {
    for (const int argument : {0, 1, 3, 16, 31}) {
      std::vector<T> out(num_forms * 32);
      LAUNCH(shuffle_kernel<T>, 1, 32, 0, nullptr, in.data(), out.data(), argument, width);
      expect_equal(what, out, table<T>(num_forms * 32, [&](int i) {
                     return in[source_lane(i / 32, i % 32, argument, width)];
                   }));
    }
  }
}

TEST_CASE(shuffles) {
  check_shuffles<int>("int");
  check_shuffles<unsigned>("unsigned");
  check_shuffles<long long>("long long");
  check_shuffles<unsigned long>("unsigned long");
  check_shuffles<float>("float");
  check_shuffles<double>("double");
}

// Groups of 8 lanes, which shuffle as often as their number says.
__global__ void group_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x), group = lane / 8;
  const unsigned mask = 0xFFu << group * 8;
  int value = lane;
  for (int round = 0; round < group + 1; ++round) value = __shfl_sync(mask, value, (lane + 1) % 8, 8);
  out[lane] = value;
}

TEST_CASE(groups_of_lanes) {
  std::vector<int> out(32);
  LAUNCH(group_kernel, 1, 32, 0, nullptr, out.data());
  expect_equal("group", out, table<int>(32, [](int i) { return i / 8 * 8 + (i + i / 8 + 1) % 8; }));
}

__global__ void vote_kernel(unsigned* out) {
  const unsigned lane = threadIdx.x % 32;
  const bool odd = lane % 2 == 1;
  unsigned* const row = out + threadIdx.x * 6;
  row[0] = __ballot_sync(whole_warp, odd);
  row[1] = static_cast<unsigned>(__any_sync(whole_warp, lane == 40));
  row[2] = static_cast<unsigned>(__any_sync(whole_warp, lane == 4));
  row[3] = static_cast<unsigned>(__all_sync(whole_warp, lane < 32));
  row[4] = static_cast<unsigned>(__all_sync(whole_warp, lane < 31));
  row[5] = __match_any_sync(whole_warp, lane % 3);
}

TEST_CASE(votes) {
  std::vector<unsigned> out(64 * 6);
  LAUNCH(vote_kernel, 1, 64, 0, nullptr, out.data());
  const auto wanted = table<unsigned>(64 * 6, [](int i) {
    const unsigned same[3] = {0x49249249u, 0x92492492u, 0x24924924u};
    const unsigned row[6] = {0xAAAAAAAAu, 0, 1, 1, 0, same[i / 6 % 32 % 3]};
    return row[i % 6];
  });
  expect_equal("votes", out, wanted);
}

__global__ void reduce_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x), value = lane - 5;
  const unsigned mask = lane < 11 ? 0x7FFu : ~0x7FFu;
  const unsigned bit = 1u << lane;
  out[lane] = __reduce_add_sync(mask, value);
  out[32 + lane] = __reduce_min_sync(mask, value);
  out[64 + lane] = __reduce_max_sync(mask, value);
  out[96 + lane] = static_cast<int>(__reduce_or_sync(mask, bit));
  out[128 + lane] = static_cast<int>(__reduce_and_sync(mask, ~bit));
  out[160 + lane] = static_cast<int>(__reduce_xor_sync(mask, bit | 1u << 31));
}

TEST_CASE(reductions_of_lanes) {
  std::vector<int> out(6 * 32);
  LAUNCH(reduce_kernel, 1, 32, 0, nullptr, out.data());
  const auto wanted = table<int>(6 * 32, [](int i) {
    const bool low = i % 32 < 11;
    // 11 lanes of -5 to 5, 21 of 6 to 26; the top bit is flipped 11 times, and 20 times beside lane 31's own.
    const unsigned rows_low[6] = {0, unsigned(-5), 5, 0x7FF, ~0x7FFu, 0x800007FFu};
    const unsigned rows_high[6] = {336, 6, 26, ~0x7FFu, 0x7FF, 0xFFFFF800u};
    return static_cast<int>(low ? rows_low[i / 32] : rows_high[i / 32]);
  });
  expect_equal("reductions", out, wanted);
}

__global__ void scan_kernel(const float* in, float* out) {
  const unsigned lane = threadIdx.x % 32;
  float total = in[threadIdx.x];
  for (unsigned step = 1; step < 32; step *= 2) {
    const float before = __shfl_up_sync(whole_warp, total, step);
    if (lane >= step) total += before;
  }
  out[threadIdx.x] = total;
}

TEST_CASE(scan_of_lanes) {
  const auto in = table<float>(7 * 32, [](int i) { return static_cast<float>(i * 37 % 101); });
  std::vector<float> out(in.size()), wanted(in.size());
  LAUNCH(scan_kernel, 1, static_cast<unsigned>(in.size()), 0, nullptr, in.data(), out.data());
  for (size_t warp = 0; warp < 7; ++warp) {
    std::partial_sum(&in[warp * 32], &in[warp * 32] + 32, &wanted[warp * 32]);
  }
  expect_equal("scan", out, wanted);
}

// Lanes from 20 on return at once; the others go on without them.
__global__ void returned_lanes_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  if (lane >= 20) return;
  __syncwarp();
  out[lane] = __popc(__ballot_sync(whole_warp, 1)) + __shfl_sync(0xFFFFF, lane, 19);
}

TEST_CASE(returned_lanes) {
  std::vector<int> out(20);
  LAUNCH(returned_lanes_kernel, 1, 32, 0, nullptr, out.data());
  expect_equal("live lanes", out, std::vector<int>(20, 20 + 19));
}

// The last warp has 8 lanes.
__global__ void partial_warp_kernel(int* out) {
  const unsigned mask = threadIdx.x < 32 ? whole_warp : 0xFF;
  out[threadIdx.x] = __popc(__ballot_sync(mask, 1));
}

TEST_CASE(partial_warp) {
  std::vector<int> out(40);
  LAUNCH(partial_warp_kernel, 1, 40, 0, nullptr, out.data());
  expect_equal("ballot", out, table<int>(40, [](int i) { return i < 32 ? 32 : 8; }));
}

// Lanes hand values on through memory, ordered by __syncwarp alone.
__global__ void syncwarp_kernel(int* memory, int rounds) {
  const unsigned lane = threadIdx.x % 32;
  int* const own = memory + (threadIdx.x - lane);
  for (int round = 0; round < rounds; ++round) {
    const int value = own[(lane + 1) % 32];
    __syncwarp();
    own[lane] = value;
    __syncwarp();
  }
}

TEST_CASE(warps_in_step) {
  auto memory = table<int>(96, [](int i) { return i; });
  LAUNCH(syncwarp_kernel, 1, 96, 0, nullptr, memory.data(), 10);
  expect_equal("handed on", memory, table<int>(96, [](int i) { return i / 32 * 32 + (i + 10) % 32; }));
}

}  // namespace
