#pragma once
// The order of threads and blocks: drawn from a seed, so that a run can be repeated.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <numeric>

namespace cuda_on_cpu {

// xorshift64*, started from a mix of its seeds.
class random_stream {
 public:
  random_stream(uint64_t seed, uint64_t stream) : state_(mix(mix(seed) ^ stream) | 1) {}

  // In [0, count).
  uint32_t below(uint32_t count) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    const uint64_t word = (state_ * 0x2545F4914F6CDD1DULL) >> 32;
    return static_cast<uint32_t>((word * count) >> 32);
  }

 private:
  static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }
  uint64_t state_;
};

// Another one for each launch.
inline uint64_t launch_seed() {
  static std::atomic<uint64_t> launches = 0;
  const char* const seed = std::getenv("PYREC_EMULATION_SEED");
  return (seed == nullptr ? 0 : std::strtoull(seed, nullptr, 10)) * 0x9E3779B97F4A7C15ULL + launches++;
}

// i -> (first + i * stride) mod count, which takes each block once.
class block_order {
 public:
  block_order(uint64_t seed, uint64_t count) : count_(count) {
    const auto bound = static_cast<uint32_t>(count < UINT32_MAX ? count : UINT32_MAX);
    random_stream random(seed, count);
    first_ = random.below(bound);
    do stride_ = random.below(bound) + uint64_t{1};
    while (std::gcd(stride_, count_) != 1);
  }
  uint64_t operator[](uint64_t i) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(stride_) * i + first_) % count_);
  }

 private:
  uint64_t count_, first_, stride_;
};

}  // namespace cuda_on_cpu
