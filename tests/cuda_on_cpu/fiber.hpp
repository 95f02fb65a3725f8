#pragma once
// Fibers: stacks of their own, and the switch from one to another.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

// cuda_on_cpu_switch(from, to): keeps the registers that a call keeps on the stack, the stack's pointer in
// *from, and goes on with `to`. ucontext would ask the system for the signal mask, twice a switch.
#if defined(__x86_64__)
asm(R"(
.pushsection .text.cuda_on_cpu_switch, "axG", @progbits, cuda_on_cpu_switch, comdat
.weak cuda_on_cpu_switch
.hidden cuda_on_cpu_switch
.type cuda_on_cpu_switch, @function
cuda_on_cpu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_on_cpu_switch, .-cuda_on_cpu_switch
.popsection
)");
#elif defined(__aarch64__)
asm(R"(
.pushsection .text.cuda_on_cpu_switch, "axG", @progbits, cuda_on_cpu_switch, comdat
.weak cuda_on_cpu_switch
.hidden cuda_on_cpu_switch
.type cuda_on_cpu_switch, @function
cuda_on_cpu_switch:
  stp x29, x30, [sp, -160]!
  stp x19, x20, [sp, 16]
  stp x21, x22, [sp, 32]
  stp x23, x24, [sp, 48]
  stp x25, x26, [sp, 64]
  stp x27, x28, [sp, 80]
  stp d8, d9, [sp, 96]
  stp d10, d11, [sp, 112]
  stp d12, d13, [sp, 128]
  stp d14, d15, [sp, 144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, 16]
  ldp x21, x22, [sp, 32]
  ldp x23, x24, [sp, 48]
  ldp x25, x26, [sp, 64]
  ldp x27, x28, [sp, 80]
  ldp d8, d9, [sp, 96]
  ldp d10, d11, [sp, 112]
  ldp d12, d13, [sp, 128]
  ldp d14, d15, [sp, 144]
  ldp x29, x30, [sp], 160
  ret
.size cuda_on_cpu_switch, .-cuda_on_cpu_switch
.popsection
)");
#endif

namespace cuda_on_cpu {

#if defined(__x86_64__) || defined(__aarch64__)

extern "C" void cuda_on_cpu_switch(void** from, void* to);

struct saved_context {
  void* stack_pointer = nullptr;

  // Lays out a stack as if `entry` had been called and had switched away before its first instruction.
  void prepare(char* stack, size_t bytes, void (*entry)()) {
#ifdef __x86_64__
    constexpr size_t words = 8, return_word = 6;  // six registers, entry, the return address that entry lacks
#else
    constexpr size_t words = 20, return_word = 1;
#endif
    auto* const frame = reinterpret_cast<uintptr_t*>(stack + bytes) - words;
    for (size_t i = 0; i < words; ++i) frame[i] = 0;
    frame[return_word] = reinterpret_cast<uintptr_t>(entry);
    stack_pointer = frame;
  }
  void switch_to(saved_context& next) { cuda_on_cpu_switch(&stack_pointer, next.stack_pointer); }
};

#else

struct saved_context {
  ucontext_t context{};

  void prepare(char* stack, size_t bytes, void (*entry)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = bytes;
    makecontext(&context, entry, 0);
  }
  void switch_to(saved_context& next) { swapcontext(&context, &next.context); }
};

#endif

// A stack above a page that traps, or the stack that the system gave the calling thread. Fibers stay until
// the process ends: they are used again, and never return.
class fiber {
 public:
  fiber() = default;  // the calling thread itself
  fiber(void (*entry)(), size_t index) {
    void* const memory = mmap(nullptr, guard_bytes + stack_bytes, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    stack_ = static_cast<char*>(memory) + guard_bytes;
    if (memory == MAP_FAILED || mprotect(stack_, stack_bytes, PROT_READ | PROT_WRITE) != 0) {
      std::perror("cuda_on_cpu: no memory for the stack of a CUDA thread");
      std::abort();
    }
    // Stacks that all begin at the same place of a page would share few lines of the cache.
    bytes_ = stack_bytes - index % 16 * 256;
    context_.prepare(stack_, bytes_, entry);
#ifdef __SANITIZE_THREAD__
    watched_as_ = __tsan_create_fiber(0);
#endif
  }
  fiber(const fiber&) = delete;
  fiber& operator=(const fiber&) = delete;

  void switch_to(fiber& next) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&fake_stack_, next.stack_, next.bytes_);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(next.watched_as_, __tsan_switch_to_fiber_no_sync);
#endif
    context_.switch_to(next.context_);
    arrive();
  }
  // To be called first by `entry`.
  void arrive() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
  }
  // For the fiber that is the calling thread itself: what the sanitizers want to know of it.
  void adopt_caller() {
#ifdef __SANITIZE_ADDRESS__
    pthread_attr_t attributes;
    void* stack = nullptr;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &stack, &bytes_);
    pthread_attr_destroy(&attributes);
    stack_ = static_cast<char*>(stack);
#endif
#ifdef __SANITIZE_THREAD__
    watched_as_ = __tsan_get_current_fiber();
#endif
  }

 private:
  static constexpr size_t guard_bytes = size_t{1} << 16;  // no page is larger
  static constexpr size_t stack_bytes = size_t{1} << 18;

  saved_context context_;
  char* stack_ = nullptr;
  size_t bytes_ = 0;
  [[maybe_unused]] void* fake_stack_ = nullptr;  // AddressSanitizer's
  [[maybe_unused]] void* watched_as_ = nullptr;  // ThreadSanitizer's
};

}  // namespace cuda_on_cpu
