#pragma once
#include <cstring>

#include "common/parallel.hpp"
#include "drop/drop.hpp"
#include "isa/philox.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t blocks_at_once = simd<uint64_t>::width;
constexpr int64_t dropped_at_once = blocks_at_once * drop_words;

// All ones where an element is kept, from that of word 0 of the first block on.
struct kept_lanes {
  vec<uint32_t> half[2];
};

PYREC_INLINE kept_lanes kept_from(vec<uint64_t> block, uint64_t seed, uint32_t substream,
                                  uint32_t threshold) {
  const philox_lanes random =
      philox({{block, block >> 32, broadcast(uint64_t{substream}), broadcast(uint64_t{drop_domain})}}, seed);
  vec<uint64_t> first = join_words(random.word[0], random.word[1]);
  vec<uint64_t> second = join_words(random.word[2], random.word[3]);
  interleave(first, second);
  return {{(vec<uint32_t>)((vec<uint32_t>)first >= threshold),
           (vec<uint32_t>)((vec<uint32_t>)second >= threshold)}};
}

PYREC_INLINE void write_kept(const float* from, float scale, const kept_lanes& kept, float* to) {
  constexpr int width = simd<float>::width;
  for (int half = 0; half < 2; ++half) {
    const vec<float> scaled = load(from + half * width) * scale;
    store(to + half * width, (vec<float>)((vec<uint32_t>)scaled & kept.half[half]));
  }
}

PYREC_INLINE void write_kept(const double* from, double scale, const kept_lanes& kept, double* to) {
  constexpr int width = simd<double>::width;
  vec<uint32_t> doubled{};  // each of the first lanes twice
  for (uint32_t lane = 0; lane < 2 * width; ++lane) doubled[lane] = lane / 2;
  for (int part = 0; part < 4; ++part) {
    const vec<uint32_t> lanes = doubled + static_cast<uint32_t>(part % 2 * width);
    const vec<double> scaled = load(from + part * width) * scale;
    const vec<uint32_t> mask = __builtin_shuffle(kept.half[part / 2], lanes);
    store(to + part * width, (vec<double>)((vec<uint32_t>)scaled & mask));
  }
}

// Elements [first, last); first is a multiple of dropped_at_once.
template <class T>
PYREC_INLINE void drop_range(const drop_args<T>& a, uint64_t seed, int64_t first, int64_t last) {
  vec<uint64_t> block{};
  for (int64_t lane = 0; lane < blocks_at_once; ++lane) {
    block[lane] = static_cast<uint64_t>(first / drop_words + lane);
  }
  int64_t i = first;
  for (; i + dropped_at_once <= last; i += dropped_at_once, block += uint64_t{blocks_at_once}) {
    write_kept(a.x + i, a.scale, kept_from(block, seed, a.substream, a.threshold), a.out + i);
  }
  if (i == last) return;
  const auto bytes = static_cast<size_t>(last - i) * sizeof(T);
  T rest[dropped_at_once] = {};
  std::memcpy(rest, a.x + i, bytes);
  write_kept(rest, a.scale, kept_from(block, seed, a.substream, a.threshold), rest);
  std::memcpy(a.out + i, rest, bytes);
}

template <class T>
void drop(const drop_args<T>& a) {
  constexpr int64_t elements_per_task = 1 << 15;
  const auto seed = static_cast<uint64_t>(a.seed[0]);
  parallel_ranges(a.count, elements_per_task,
                  [&](int64_t first, int64_t last) { drop_range(a, seed, first, last); });
}

}  // namespace pyrec::PYREC_ISA
