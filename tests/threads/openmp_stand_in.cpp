// What the kernels ask of OpenMP, on std::thread: a library that ThreadSanitizer is not built into would look
// to it as if threads never waited for each other. Iterations are handed out by a relaxed counter, which
// orders nothing, so that a race between two iterations is seen.
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace {

struct team {
  std::once_flag started;
  std::atomic<long> next{0};
  long end = 0;
};

thread_local team* current = nullptr;
thread_local int number = 0;
std::atomic<int> most_threads{4};

bool take(long* first, long* last) {
  *first = current->next.fetch_add(1, std::memory_order_relaxed);
  *last = *first + 1;
  return *first < current->end;
}

}  // namespace

extern "C" {

int omp_get_max_threads() { return most_threads.load(); }
void omp_set_num_threads(int count) { most_threads = count; }
int omp_get_thread_num() { return number; }

void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned) {
  team here;
  const auto work = [&](int as) {
    current = &here;
    number = as;
    body(data);
    current = nullptr;
    number = 0;
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(work, static_cast<int>(i));
  work(0);
  for (std::thread& other : others) other.join();
}

// Each region of the kernels has one loop, of step and chunk 1.
bool GOMP_loop_nonmonotonic_dynamic_start(long start, long end, long, long, long* first, long* last) {
  std::call_once(current->started, [&] {
    current->next.store(start, std::memory_order_relaxed);
    current->end = end;
  });
  return take(first, last);
}
bool GOMP_loop_nonmonotonic_dynamic_next(long* first, long* last) { return take(first, last); }
void GOMP_loop_end_nowait() {}
}
