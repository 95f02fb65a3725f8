#pragma once
// Threads. A loop's iterations must not depend on which thread runs them, so results never depend on their
// number.
#include <omp.h>

#include <cstdint>

#include "common/inline.hpp"
#include "common/rounding.hpp"

namespace pyrec {

// OpenMP's setting for the calling thread (torch.set_num_threads changes it); 1 in a forked child, where
// the parent's OpenMP threads no longer exist and waiting for them would hang.
int num_threads();

// body(i) for i in [0, count), handed out one by one: cut the work into pieces of some 10 µs or more.
template <class Body>
PYREC_INLINE void parallel_for(int64_t count, const Body& body) {
  const int threads = count > 1 ? num_threads() : 1;
  if (threads == 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t i = 0; i < count; ++i) body(i);
}

// body(first, last) for ranges of `per` that make up [0, count); the last one may be shorter.
template <class Body>
PYREC_INLINE void parallel_ranges(int64_t count, int64_t per, const Body& body) {
  parallel_for(ceil_div(count, per), [&](int64_t i) __attribute__((always_inline)) {
    const int64_t last = (i + 1) * per;
    body(i * per, last < count ? last : count);
  });
}

// body(i, worker) as in parallel_for, where worker < num_workers says whose scratch memory to use, and
// nothing else.
template <class Body>
PYREC_INLINE void parallel_for_workers(int64_t count, int num_workers, const Body& body) {
  const int available = num_threads() < num_workers ? num_threads() : num_workers;
  const int threads = count > 1 ? available : 1;
  if (threads == 1) {
    for (int64_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const int worker = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < count; ++i) body(i, worker);
  }
}

// body(first, last, worker) likewise.
template <class Body>
PYREC_INLINE void parallel_ranges_workers(int64_t count, int64_t per, int num_workers, const Body& body) {
  parallel_for_workers(ceil_div(count, per), num_workers,
                       [&](int64_t i, int worker) __attribute__((always_inline)) {
                         const int64_t last = (i + 1) * per;
                         body(i * per, last < count ? last : count, worker);
                       });
}

}  // namespace pyrec
