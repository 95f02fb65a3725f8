#pragma once
// Threads. A loop's iterations must not depend on which thread runs them, so results never depend on their
// number.
#include <cstdint>

namespace pyrec {

// OpenMP's setting for the calling thread (torch.set_num_threads changes it); 1 in a forked child, where
// the parent's OpenMP threads no longer exist and waiting for them would hang.
int num_threads();

// body(i) for i in [0, count), handed out one by one: cut the work into pieces of some 10 µs or more.
template <class Body>
inline __attribute__((always_inline)) void parallel_for(int64_t count, const Body& body) {
  const int threads = count > 1 ? num_threads() : 1;
  if (threads == 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace pyrec
