#pragma once
// Under -fsanitize=thread: which accesses of which CUDA threads are ordered. Only barriers order them; a
// shuffle or a ballot does not, here as on a GPU.
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>

extern "C" void __tsan_ignore_thread_begin();
extern "C" void __tsan_ignore_thread_end();
#endif

namespace cuda_on_cpu {

#ifdef __SANITIZE_THREAD__

constexpr bool races_watched = true;

// What the caller did so far comes before what others do after order_after() of the same address.
inline void order_before(void* address) { __tsan_release(address); }
inline void order_after(void* address) { __tsan_acquire(address); }

// The emulation's own accesses need no order: one thread of the CPU makes them all.
struct unwatched {
  unwatched() { __tsan_ignore_thread_begin(); }
  ~unwatched() { __tsan_ignore_thread_end(); }
};
struct watched {
  watched() { __tsan_ignore_thread_end(); }
  ~watched() { __tsan_ignore_thread_begin(); }
};

#else

constexpr bool races_watched = false;
inline void order_before(void*) {}
inline void order_after(void*) {}
struct unwatched {
  unwatched() {}
};
struct watched {
  watched() {}
};

#endif

}  // namespace cuda_on_cpu
