#include "common/parallel.hpp"

#include <omp.h>
#include <pthread.h>

#include <atomic>

namespace pyrec {

namespace {

std::atomic<bool> forked{false};

[[maybe_unused]] const int fork_handler =
    pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });

}  // namespace

int num_threads() { return forked.load(std::memory_order_relaxed) ? 1 : omp_get_max_threads(); }

}  // namespace pyrec
