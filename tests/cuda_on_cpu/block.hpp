#pragma once
// One block of threads: which of them runs, which may run, and who waits for whom.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fiber.hpp"
#include "races.hpp"
#include "random.hpp"
#include "vectors.hpp"

namespace cuda_on_cpu {

constexpr int warp_lanes = 32;

class block;

// What the running thread sees, and what must outlive the filling of shared memory (memory.hpp).
struct thread_registers {
  uint3 thread, block;
  dim3 block_extents, grid_extents;
  cuda_on_cpu::block* running;
  char* shared_variables;
  size_t shared_variable_bytes;
};
inline thread_local constinit thread_registers registers{};

struct launch_description {
  const char* kernel;
  dim3 grid, block;
  size_t shared_bytes;
  void (*call)(const void*);  // the kernel, with the arguments of this launch
  const void* arguments;
};

// A barrier or an operation of the warp, and where it is written.
struct place {
  const char* operation;
  const char* file;
  int line;
  unsigned mask;

  bool operator==(const place& other) const {
    return line == other.line && mask == other.mask && operation == other.operation;
  }
};

struct lane {
  uint64_t value, result;
  int source;
};

// A copy that runs beside its thread, which will wait for it.
struct pending_copy {
  void* target;
  const void* source;
  size_t bytes;
};

// Fills `result` of the lanes in `group`, the low one first.
using combine_function = void (*)(lane* lanes, unsigned group);

class block {
 public:
  block() = default;

  void prepare(const launch_description& launch);
  void run(uint3 index, random_stream random);

  // Called by the running thread.
  int wait_for_block(const place& where, bool predicate);
  uint64_t wait_for_warp(const place& where, uint64_t value, int source, combine_function combine);
  void order_warp(const place& where);
  void yield();
  int lane_index() const { return static_cast<int>(current_ % warp_lanes); }
  void start_copy(void* target, const void* source, size_t bytes);
  void end_copies();
  void* dynamic_shared() const { return dynamic_shared_.get(); }
  [[noreturn]] void fail(const std::string& message) const;

 private:
  enum class status { waits_for_none, waits_for_block, waits_for_warp, returned };
  struct cuda_thread {
    uint3 index{};
    fiber* home = nullptr;  // none before it starts
    status state = status::waits_for_none;
    place where{};
    combine_function combine = nullptr;
    std::vector<pending_copy> copies{};
  };
  struct warp {
    unsigned live = 0, waiting = 0;
  };
  struct free_memory {
    void operator()(char* memory) const { std::free(memory); }
  };

  static void fiber_entry();
  static void run_current_thread();
  void reset();
  void start_next();
  void take_up(uint32_t thread);
  void finish_current();
  void release_block();
  bool warp_complete(const warp& group, const place& where, combine_function combine, uint32_t first) const;
  void release_warp(warp& group, uint32_t first, unsigned mask, combine_function combine);
  void release_lanes_left(warp& group, uint32_t first);
  uint32_t draw_ready();
  fiber* idle_fiber();
  [[noreturn]] void fail_divergence() const;
  std::string describe(const cuda_thread& thread) const;
  void check_canary() const;

  launch_description launch_{};
  std::unique_ptr<char, free_memory> dynamic_shared_;
  std::vector<cuda_thread> threads_;
  std::vector<lane> lanes_;
  std::vector<warp> warps_;
  std::vector<uint32_t> ready_;
  std::vector<fiber*> idle_, spent_;
  size_t num_fibers_ = 0;
  fiber caller_;
  random_stream random_{0, 0};
  uint32_t current_ = 0, live_ = 0;
  uint32_t waiting_ = 0, predicates_ = 0, predicates_released_ = 0;
  place barrier_{};
  unsigned releases_ = 0;
  // Places in memory that stand for barriers: two in turn, for a thread may leave one late.
  char start_order_ = 0, end_order_ = 0, barrier_order_[2] = {};
};

#ifdef __SANITIZE_ADDRESS__
constexpr size_t canary_bytes = 0;
#else
constexpr size_t canary_bytes = 64;
#endif
constexpr char canary = 0x5A;
constexpr int garbage = 0xFF;

inline void block::prepare(const launch_description& launch) {
  launch_ = launch;
  void* memory = nullptr;
  if (posix_memalign(&memory, 16, launch.shared_bytes + canary_bytes) != 0)
    fail("no memory for its shared memory");
  dynamic_shared_.reset(static_cast<char*>(memory));
  caller_.adopt_caller();

  const dim3 extents = launch.block;
  threads_.assign(size_t{extents.x} * extents.y * extents.z, {});
  size_t thread = 0;
  for (unsigned z = 0; z < extents.z; ++z)
    for (unsigned y = 0; y < extents.y; ++y)
      for (unsigned x = 0; x < extents.x; ++x) threads_[thread++].index = {x, y, z};
  warps_.resize((threads_.size() + warp_lanes - 1) / warp_lanes);
  lanes_.resize(warps_.size() * warp_lanes);
}

inline void block::reset() {
  idle_.insert(idle_.end(), spent_.begin(), spent_.end());
  spent_.clear();
  // A fiber made by a thread of the block would be ordered after it.
  while (races_watched && idle_.size() < threads_.size())
    idle_.push_back(new fiber(fiber_entry, num_fibers_++));
  live_ = static_cast<uint32_t>(threads_.size());
  waiting_ = predicates_ = 0;
  for (warp& each : warps_) each = {};
  ready_.clear();
  for (uint32_t thread = 0; thread < live_; ++thread) {
    threads_[thread].home = nullptr;
    threads_[thread].state = status::waits_for_none;
    warps_[thread / warp_lanes].live |= 1u << thread % warp_lanes;
    ready_.push_back(thread);
  }
  std::memset(dynamic_shared_.get(), garbage, launch_.shared_bytes);
  std::memset(dynamic_shared_.get() + launch_.shared_bytes, canary, canary_bytes);
}

inline void block::run(uint3 index, random_stream random) {
  const unwatched emulation;
  registers.block = index;
  registers.running = this;
  random_ = random;
  reset();
  order_before(&start_order_);
  take_up(draw_ready());
  threads_[current_].home = idle_fiber();
  caller_.switch_to(*threads_[current_].home);
  order_after(&end_order_);
  check_canary();
  registers.running = nullptr;
}

inline void block::fiber_entry() {
  registers.running->threads_[registers.running->current_].home->arrive();
  const unwatched emulation;
  for (;;) run_current_thread();
}

// Not inlined: the next thread on this fiber may be that of another block, on another thread of the CPU,
// whose registers lie elsewhere.
[[gnu::noinline]] inline void block::run_current_thread() {
  block& here = *registers.running;
  order_after(&here.start_order_);
  {
    const watched kernel;
    here.launch_.call(here.launch_.arguments);
  }
  order_before(&here.end_order_);
  here.finish_current();
}

inline uint32_t block::draw_ready() {
  const uint32_t at = random_.below(static_cast<uint32_t>(ready_.size()));
  const uint32_t thread = ready_[at];
  ready_[at] = ready_.back();
  ready_.pop_back();
  return thread;
}

inline fiber* block::idle_fiber() {
  if (idle_.empty()) return new fiber(fiber_entry, num_fibers_++);
  fiber* const found = idle_.back();
  idle_.pop_back();
  return found;
}

inline void block::take_up(uint32_t thread) {
  current_ = thread;
  registers.thread = threads_[thread].index;
}

// The running thread waits, and another goes on. Returns when the thread has been made ready and drawn.
inline void block::start_next() {
  if (ready_.empty()) fail_divergence();
  fiber& here = *threads_[current_].home;
  take_up(draw_ready());
  cuda_thread& next = threads_[current_];
  if (next.home == nullptr) next.home = idle_fiber();
  if (next.home != &here) here.switch_to(*next.home);
}

inline void block::yield() {
  const unwatched emulation;
  ready_.push_back(current_);
  start_next();
}

// Returns, on the same fiber, when a thread that has not yet started is the current one.
inline void block::finish_current() {
  fiber& here = *threads_[current_].home;
  const uint32_t first = current_ - current_ % warp_lanes;
  warp& group = warps_[current_ / warp_lanes];
  threads_[current_].state = status::returned;
  --live_;
  group.live &= ~(1u << current_ % warp_lanes);
  if (waiting_ != 0 && waiting_ == live_) release_block();
  if (group.waiting != 0) release_lanes_left(group, first);

  if (ready_.empty()) {
    if (live_ != 0) fail_divergence();
    idle_.push_back(&here);
    here.switch_to(caller_);
    return;
  }
  take_up(draw_ready());
  cuda_thread& next = threads_[current_];
  if (next.home == nullptr && !races_watched) {
    next.home = &here;
    return;
  }
  if (next.home == nullptr) next.home = idle_fiber();
  // A fiber that two threads of a block had used would order them.
  (races_watched ? spent_ : idle_).push_back(&here);
  here.switch_to(*next.home);
}

inline int block::wait_for_block(const place& where, bool predicate) {
  const unwatched emulation;
  char* const order = &barrier_order_[releases_ % 2];
  order_before(order);
  cuda_thread& self = threads_[current_];
  self.where = where;
  self.state = status::waits_for_block;
  if (waiting_ == 0) barrier_ = where;
  if (!(barrier_ == where)) fail_divergence();
  predicates_ += predicate ? 1 : 0;
  if (++waiting_ == live_) release_block();
  start_next();
  order_after(order);
  return static_cast<int>(predicates_released_);
}

inline void block::release_block() {
  for (uint32_t thread = 0; thread < threads_.size(); ++thread) {
    if (threads_[thread].state != status::waits_for_block) continue;
    threads_[thread].state = status::waits_for_none;
    ready_.push_back(thread);
  }
  predicates_released_ = predicates_;
  waiting_ = predicates_ = 0;
  ++releases_;
}

// Until it has ended, what is read there is garbage.
inline void block::start_copy(void* target, const void* source, size_t bytes) {
  std::memset(target, garbage, bytes);
  threads_[current_].copies.push_back({target, source, bytes});
}

inline void block::end_copies() {
  for (const pending_copy& copy : threads_[current_].copies) {
    std::memcpy(copy.target, copy.source, copy.bytes);
  }
  threads_[current_].copies.clear();
}

inline uint64_t block::wait_for_warp(const place& where, uint64_t value, int source,
                                     combine_function combine) {
  const unwatched emulation;
  const auto index = current_ % warp_lanes;
  const uint32_t first = current_ - index;
  warp& group = warps_[current_ / warp_lanes];
  if ((where.mask >> index & 1) == 0)
    fail(std::string(where.operation) + " by a lane that is not in its mask");
  cuda_thread& self = threads_[current_];
  self.where = where;
  self.combine = combine;
  self.state = status::waits_for_warp;
  lane& slot = lanes_[current_];
  slot.value = value;
  slot.source = source;
  group.waiting |= 1u << index;
  if (warp_complete(group, where, combine, first)) {
    release_warp(group, first, where.mask & group.live, combine);
  }
  start_next();
  return slot.result;
}

// A lane that leaves late may be ordered after more of the others' work than the barrier asks for.
inline void block::order_warp(const place& where) {
  const uint32_t first = current_ - current_ % warp_lanes;
  order_before(&lanes_[current_]);
  wait_for_warp(where, 0, 0, [](lane*, unsigned) {});
  if (!races_watched) return;
  for (unsigned left = where.mask; left != 0; left &= left - 1) {
    order_after(&lanes_[first + static_cast<uint32_t>(__builtin_ctz(left))]);
  }
}

inline bool block::warp_complete(const warp& group, const place& where, combine_function combine,
                                 uint32_t first) const {
  const unsigned expected = where.mask & group.live;
  if ((group.waiting & expected) != expected) return false;
  for (unsigned left = expected; left != 0; left &= left - 1) {
    const cuda_thread& other = threads_[first + static_cast<uint32_t>(__builtin_ctz(left))];
    if (!(other.where == where) || other.combine != combine) return false;
  }
  return true;
}

inline void block::release_warp(warp& group, uint32_t first, unsigned mask, combine_function combine) {
  combine(&lanes_[first], mask);
  group.waiting &= ~mask;
  for (unsigned left = mask; left != 0; left &= left - 1) {
    const uint32_t thread = first + static_cast<uint32_t>(__builtin_ctz(left));
    threads_[thread].state = status::waits_for_none;
    ready_.push_back(thread);
  }
}

// After a lane has returned: those that waited for no other.
inline void block::release_lanes_left(warp& group, uint32_t first) {
  for (int index = 0; index < warp_lanes; ++index) {
    if ((group.waiting >> index & 1) == 0) continue;
    const cuda_thread& waiter = threads_[first + static_cast<uint32_t>(index)];
    if (warp_complete(group, waiter.where, waiter.combine, first)) {
      release_warp(group, first, waiter.where.mask & group.live, waiter.combine);
    }
  }
}

inline void block::check_canary() const {
  for (size_t i = 0; i < canary_bytes; ++i) {
    if (dynamic_shared_.get()[launch_.shared_bytes + i] != canary) {
      fail("a thread wrote past the " + std::to_string(launch_.shared_bytes) +
           " bytes of dynamic shared memory");
    }
  }
}

inline std::string text(const uint3& index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) +
         ")";
}

inline void block::fail(const std::string& message) const {
  std::fprintf(stderr, "cuda_on_cpu: kernel %s, block %s, thread %s: %s\n", launch_.kernel,
               text(registers.block).c_str(), text(registers.thread).c_str(), message.c_str());
  std::abort();
}

inline std::string block::describe(const cuda_thread& thread) const {
  if (thread.state == status::returned) return "returned";
  if (thread.state == status::waits_for_none) return "run";
  char mask[32] = "";
  if (thread.state == status::waits_for_warp) std::snprintf(mask, sizeof mask, "(0x%08x)", thread.where.mask);
  return "wait at " + std::string(thread.where.operation) + mask + ", " + thread.where.file + ":" +
         std::to_string(thread.where.line);
}

inline void block::fail_divergence() const {
  std::map<std::string, std::string> groups;
  for (size_t first = 0; first < threads_.size();) {
    const std::string state = describe(threads_[first]);
    size_t last = first;
    while (last + 1 < threads_.size() && describe(threads_[last + 1]) == state) ++last;
    std::string& members = groups[state];
    if (!members.empty()) members += ", ";
    members += std::to_string(first);
    if (last != first) members += "-" + std::to_string(last);
    first = last + 1;
  }
  std::string message = "threads diverge before a barrier";
  for (const auto& [state, members] : groups) message += "\n  threads " + members + " " + state;
  fail(message);
}

}  // namespace cuda_on_cpu

#define threadIdx (::cuda_on_cpu::registers.thread)
#define blockIdx (::cuda_on_cpu::registers.block)
#define blockDim (::cuda_on_cpu::registers.block_extents)
#define gridDim (::cuda_on_cpu::registers.grid_extents)
inline constexpr int warpSize = cuda_on_cpu::warp_lanes;
