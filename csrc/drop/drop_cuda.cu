// A thread draws a block of Philox for four elements, and takes them at once where they are aligned.
#include "common/cuda_block.cuh"
#include "common/cuda_vector.cuh"
#include "drop/drop.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;
constexpr int fours = 4;
static_assert(fours == drop_words);

template <class T>
__device__ __forceinline__ philox_block random_words(const drop_args<T>& a, int64_t block) {
  const auto seed = static_cast<uint64_t>(a.seed[0]);
  const auto at = static_cast<uint64_t>(block);
  return philox({{static_cast<uint32_t>(at), static_cast<uint32_t>(at >> 32), a.substream, drop_domain}},
                static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

template <class T>
__device__ __forceinline__ T kept_or_zero(const drop_args<T>& a, T value, uint32_t word) {
  return word >= a.threshold ? value * a.scale : T(0);
}

// Aligned says that whole fours may be read and written at once.
template <bool Aligned, class T>
__global__ void __launch_bounds__(threads) drop_fours(const drop_args<T> a) {
  const int64_t first = grid_thread() * fours;
  if (first >= a.count) return;
  const philox_block random = random_words(a, grid_thread());
  if (Aligned && first + fours <= a.count) {
    T value[fours];
    load(a.x + first, value);
    for (int v = 0; v < fours; ++v) value[v] = kept_or_zero(a, value[v], random.word[v]);
    store(a.out + first, value);
    return;
  }
  for (int v = 0; v < fours; ++v) {
    if (first + v < a.count) a.out[first + v] = kept_or_zero(a, a.x[first + v], random.word[v]);
  }
}

template <class T>
void drop_on_device(const drop_args<T>& a) {
  if (a.count == 0) return;
  const auto kernel = aligned(a.x) && aligned(a.out) ? drop_fours<true, T> : drop_fours<false, T>;
  LAUNCH(kernel, blocks_for(a.count, int64_t{threads} * fours), threads, 0, a.stream, a);
}

}  // namespace

drop_kernels drop() { return {.run = {drop_on_device<float>, drop_on_device<double>}}; }

}  // namespace pyrec::cuda
