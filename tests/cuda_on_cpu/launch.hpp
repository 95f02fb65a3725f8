#pragma once
// A launch: its blocks in a shuffled order, on the threads of OpenMP.
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <utility>

#include "block.hpp"
#include "memory.hpp"
#include "runtime.hpp"

namespace cuda_on_cpu {

// Blocks that run no kernel now, with their fibers. Never destroyed, as those are not.
class block_pool {
 public:
  block* take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return new block;
    block* const found = idle_.back();
    idle_.pop_back();
    return found;
  }
  void give_back(block* used) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(used);
  }

 private:
  std::mutex mutex_;
  std::vector<block*> idle_;
};
inline block_pool& idle_blocks = *new block_pool;

// OpenMP's threads are not there in a process forked from one that had them.
inline const pid_t first_process = getpid();

// Launches that ran, of all kernels: a test compares it before and after to see that its kernels ran here.
inline std::atomic<uint64_t> num_launches = 0;

inline cudaError_t check_launch(const launch_description& launch, int shared_limit) {
  const auto& [grid, extents] = std::tie(launch.grid, launch.block);
  const uint64_t threads = uint64_t{extents.x} * extents.y * extents.z;
  if (threads == 0 || threads > max_threads_per_block || extents.z > 64) return cudaErrorInvalidConfiguration;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaErrorInvalidConfiguration;
  if (grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidConfiguration;
  if (launch.shared_bytes > static_cast<size_t>(shared_limit)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

inline uint3 block_index(uint64_t block, const dim3& grid) {
  const uint64_t row = block / grid.x;
  return {static_cast<unsigned>(block % grid.x), static_cast<unsigned>(row % grid.y),
          static_cast<unsigned>(row / grid.y)};
}

inline void run_blocks(const launch_description& launch) {
  const uint64_t seed = launch_seed();
  const uint64_t count = uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  const block_order order(seed, count);
#if defined(_OPENMP) && !defined(__SANITIZE_THREAD__)
  const bool parallel = count > 1 && getpid() == first_process;
#pragma omp parallel if (parallel)
#endif
  {
    block* const runner = idle_blocks.take();
    runner->prepare(launch);
    const shared_variables shared;
    registers.grid_extents = launch.grid;
    registers.block_extents = launch.block;
#if defined(_OPENMP) && !defined(__SANITIZE_THREAD__)
#pragma omp for schedule(dynamic, 1)
#endif
    for (uint64_t i = 0; i < count; ++i) {
      shared.fill();
      runner->run(block_index(order[i], launch.grid), random_stream(seed, order[i]));
    }
    idle_blocks.give_back(runner);
  }
}

template <class... Params, class... Args>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t, Args&&... args) {
  using arguments = std::tuple<void (*)(Params...), std::remove_cv_t<Params>...>;
  const arguments values(kernel, std::forward<Args>(args)...);
  const auto call = [](const void* packed) {
    std::apply([](auto function, const auto&... each) { function(each...); },
               *static_cast<const arguments*>(packed));
  };
  const launch_description description{name, grid, block, shared_bytes, call, &values};
  const int shared_limit = dynamic_shared_limits.of(reinterpret_cast<const void*>(kernel));
  const cudaError_t error = check_launch(description, shared_limit);
  if (error != cudaSuccess) {
    report(error);
    return;
  }
  num_launches.fetch_add(1, std::memory_order_relaxed);
  run_blocks(description);
}

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(registers.running->dynamic_shared());
}

}  // namespace cuda_on_cpu
