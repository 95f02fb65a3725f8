#pragma once
// Barriers, and what the lanes of a warp do together.
#include <bit>
#include <cstring>
#include <type_traits>

#include "block.hpp"

namespace cuda_on_cpu {

template <class T>
concept shuffled_type = std::is_arithmetic_v<T> && sizeof(T) >= 4 && sizeof(T) <= 8;

template <class T>
uint64_t to_word(T value) {
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}
template <class T>
T from_word(uint64_t word) {
  T value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

// Calls body(lane index) for each lane of the group.
template <class Body>
void for_each_lane(unsigned group, const Body& body) {
  for (; group != 0; group &= group - 1) body(std::countr_zero(group));
}

inline void gather(lane* lanes, unsigned group) {
  for_each_lane(group, [&](int i) {
    const int source = lanes[i].source;
    lanes[i].result = (group >> source & 1) != 0 ? lanes[source].value : ~uint64_t{0};
  });
}

inline void ballot(lane* lanes, unsigned group) {
  uint64_t votes = 0;
  for_each_lane(group, [&](int i) { votes |= lanes[i].value << i; });
  for_each_lane(group, [&](int i) { lanes[i].result = votes; });
}

inline void all_agree(lane* lanes, unsigned group) {
  uint64_t all = 1;
  for_each_lane(group, [&](int i) { all &= lanes[i].value; });
  for_each_lane(group, [&](int i) { lanes[i].result = all; });
}

inline void match(lane* lanes, unsigned group) {
  for_each_lane(group, [&](int i) {
    lanes[i].result = 0;
    for_each_lane(group, [&](int j) { lanes[i].result |= uint64_t{lanes[i].value == lanes[j].value} << j; });
  });
}

template <class T, class Operation>
void reduce(lane* lanes, unsigned group) {
  T total = from_word<T>(lanes[std::countr_zero(group)].value);
  for_each_lane(group & (group - 1),
                [&](int i) { total = Operation{}(total, from_word<T>(lanes[i].value)); });
  for_each_lane(group, [&](int i) { lanes[i].result = to_word(total); });
}

struct add_bits {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
  }
};
struct lesser {
  template <class T>
  T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};
struct greater {
  template <class T>
  T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

inline int first_lane_of_segment(int lane, int width) { return lane & ~(width - 1); }

inline void check_width(const char* operation, int width) {
  if (width >= 1 && width <= warp_lanes && (width & (width - 1)) == 0) return;
  registers.running->fail(std::string(operation) + " of width " + std::to_string(width) +
                          "; a power of two up to 32 is needed");
}

inline void check_distance(const char* operation, unsigned distance) {
  if (distance < warp_lanes) return;
  registers.running->fail(std::string(operation) + " by " + std::to_string(distance) +
                          "; a warp has 32 lanes");
}

template <shuffled_type T>
T shuffle(const place& where, T value, int source) {
  return from_word<T>(registers.running->wait_for_warp(where, to_word(value), source, gather));
}

}  // namespace cuda_on_cpu

// The place of a call is that of its line.
#define CUDA_ON_CPU_CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define CUDA_ON_CPU_PLACE(name, mask) \
  ::cuda_on_cpu::place { #name, file, line, mask }

inline void __syncthreads(CUDA_ON_CPU_CALLER) {
  cuda_on_cpu::registers.running->wait_for_block(CUDA_ON_CPU_PLACE(__syncthreads, 0), false);
}
inline int __syncthreads_count(int predicate, CUDA_ON_CPU_CALLER) {
  return cuda_on_cpu::registers.running->wait_for_block(CUDA_ON_CPU_PLACE(__syncthreads_count, 0),
                                                        predicate != 0);
}
inline int __syncthreads_or(int predicate, CUDA_ON_CPU_CALLER) {
  return cuda_on_cpu::registers.running->wait_for_block(CUDA_ON_CPU_PLACE(__syncthreads_or, 0),
                                                        predicate != 0) != 0;
}
inline int __syncthreads_and(int predicate, CUDA_ON_CPU_CALLER) {
  return cuda_on_cpu::registers.running->wait_for_block(CUDA_ON_CPU_PLACE(__syncthreads_and, 0),
                                                        predicate == 0) == 0;
}

inline void __syncwarp(unsigned mask = 0xFFFFFFFF, CUDA_ON_CPU_CALLER) {
  cuda_on_cpu::registers.running->order_warp(CUDA_ON_CPU_PLACE(__syncwarp, mask));
}
// Which lanes are together outside a barrier is no property of a kernel.
unsigned __activemask() = delete;

inline unsigned __ballot_sync(unsigned mask, int predicate, CUDA_ON_CPU_CALLER) {
  return static_cast<unsigned>(cuda_on_cpu::registers.running->wait_for_warp(
      CUDA_ON_CPU_PLACE(__ballot_sync, mask), predicate != 0 ? 1 : 0, 0, cuda_on_cpu::ballot));
}
inline int __any_sync(unsigned mask, int predicate, CUDA_ON_CPU_CALLER) {
  return cuda_on_cpu::registers.running->wait_for_warp(CUDA_ON_CPU_PLACE(__any_sync, mask),
                                                       predicate != 0 ? 1 : 0, 0, cuda_on_cpu::ballot) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CUDA_ON_CPU_CALLER) {
  return static_cast<int>(cuda_on_cpu::registers.running->wait_for_warp(
      CUDA_ON_CPU_PLACE(__all_sync, mask), predicate != 0 ? 1 : 0, 0, cuda_on_cpu::all_agree));
}
template <cuda_on_cpu::shuffled_type T>
unsigned __match_any_sync(unsigned mask, T value, CUDA_ON_CPU_CALLER) {
  return static_cast<unsigned>(cuda_on_cpu::registers.running->wait_for_warp(
      CUDA_ON_CPU_PLACE(__match_any_sync, mask), cuda_on_cpu::to_word(value), 0, cuda_on_cpu::match));
}

// Types smaller than int become int, as they do under nvcc.
template <class T>
auto __shfl_sync(unsigned mask, T value, int source, int width = warpSize, CUDA_ON_CPU_CALLER) {
  cuda_on_cpu::check_width("__shfl_sync", width);
  const int lane = cuda_on_cpu::registers.running->lane_index();
  const int from = cuda_on_cpu::first_lane_of_segment(lane, width) + (source & (width - 1));
  return cuda_on_cpu::shuffle(CUDA_ON_CPU_PLACE(__shfl_sync, mask), +value, from);
}
template <class T>
auto __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, CUDA_ON_CPU_CALLER) {
  cuda_on_cpu::check_width("__shfl_up_sync", width);
  cuda_on_cpu::check_distance("__shfl_up_sync", delta);
  const int lane = cuda_on_cpu::registers.running->lane_index();
  const int from = lane - static_cast<int>(delta);
  const bool inside = from >= cuda_on_cpu::first_lane_of_segment(lane, width);
  return cuda_on_cpu::shuffle(CUDA_ON_CPU_PLACE(__shfl_up_sync, mask), +value, inside ? from : lane);
}
template <class T>
auto __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, CUDA_ON_CPU_CALLER) {
  cuda_on_cpu::check_width("__shfl_down_sync", width);
  cuda_on_cpu::check_distance("__shfl_down_sync", delta);
  const int lane = cuda_on_cpu::registers.running->lane_index();
  const int from = lane + static_cast<int>(delta);
  const bool inside = from < cuda_on_cpu::first_lane_of_segment(lane, width) + width;
  return cuda_on_cpu::shuffle(CUDA_ON_CPU_PLACE(__shfl_down_sync, mask), +value, inside ? from : lane);
}
template <class T>
auto __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize, CUDA_ON_CPU_CALLER) {
  cuda_on_cpu::check_width("__shfl_xor_sync", width);
  cuda_on_cpu::check_distance("__shfl_xor_sync", static_cast<unsigned>(lane_mask));
  const int lane = cuda_on_cpu::registers.running->lane_index();
  const int from = lane ^ lane_mask;
  const bool inside = from < cuda_on_cpu::first_lane_of_segment(lane, width) + width;
  return cuda_on_cpu::shuffle(CUDA_ON_CPU_PLACE(__shfl_xor_sync, mask), +value, inside ? from : lane);
}

#define CUDA_ON_CPU_REDUCE(name, type, operation)                                      \
  inline type name(unsigned mask, type value, CUDA_ON_CPU_CALLER) {                    \
    return cuda_on_cpu::from_word<type>(cuda_on_cpu::registers.running->wait_for_warp( \
        CUDA_ON_CPU_PLACE(name, mask), cuda_on_cpu::to_word(value), 0,                 \
        cuda_on_cpu::reduce<type, operation>));                                        \
  }
CUDA_ON_CPU_REDUCE(__reduce_add_sync, unsigned, cuda_on_cpu::add_bits)
CUDA_ON_CPU_REDUCE(__reduce_add_sync, int, cuda_on_cpu::add_bits)
CUDA_ON_CPU_REDUCE(__reduce_min_sync, unsigned, cuda_on_cpu::lesser)
CUDA_ON_CPU_REDUCE(__reduce_min_sync, int, cuda_on_cpu::lesser)
CUDA_ON_CPU_REDUCE(__reduce_max_sync, unsigned, cuda_on_cpu::greater)
CUDA_ON_CPU_REDUCE(__reduce_max_sync, int, cuda_on_cpu::greater)
CUDA_ON_CPU_REDUCE(__reduce_and_sync, unsigned, std::bit_and<>)
CUDA_ON_CPU_REDUCE(__reduce_or_sync, unsigned, std::bit_or<>)
CUDA_ON_CPU_REDUCE(__reduce_xor_sync, unsigned, std::bit_xor<>)
#undef CUDA_ON_CPU_REDUCE

inline void __nanosleep(unsigned) { cuda_on_cpu::registers.running->yield(); }
