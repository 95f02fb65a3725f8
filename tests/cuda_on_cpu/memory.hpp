#pragma once
// Shared memory, and loads and stores that say how to use the cache.
#include <link.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "block.hpp"

namespace cuda_on_cpu {

// A __shared__ variable is a thread_local one of this module. While a kernel runs, all its thread_local
// variables but the registers hold what the kernel keeps there; they are put back afterwards.
class shared_variables {
 public:
  shared_variables() {
    if (registers.shared_variables == nullptr) dl_iterate_phdr(find, &registers);
    before_.assign(registers.shared_variables, registers.shared_variables + registers.shared_variable_bytes);
  }
  ~shared_variables() {
    const thread_registers kept = registers;
    std::memcpy(kept.shared_variables, before_.data(), before_.size());
    registers = kept;
  }
  shared_variables(const shared_variables&) = delete;
  shared_variables& operator=(const shared_variables&) = delete;

  void fill() const {
    const thread_registers kept = registers;
    std::memset(kept.shared_variables, garbage, kept.shared_variable_bytes);
    registers = kept;
  }

 private:
  // The module that holds the registers of this thread.
  static int find(dl_phdr_info* module, size_t, void* target) {
    auto* const found = static_cast<thread_registers*>(target);
    auto* const begin = static_cast<char*>(module->dlpi_tls_data);
    for (int i = 0; i < module->dlpi_phnum; ++i) {
      const auto& segment = module->dlpi_phdr[i];
      if (segment.p_type != PT_TLS || begin == nullptr) continue;
      const uintptr_t offset = reinterpret_cast<uintptr_t>(found) - reinterpret_cast<uintptr_t>(begin);
      if (offset >= segment.p_memsz) continue;
      found->shared_variables = begin;
      found->shared_variable_bytes = segment.p_memsz;
      return 1;
    }
    return 0;
  }

  std::vector<char> before_;
};

template <class T>
void check_aligned(const void* address, const char* operation) {
  if (reinterpret_cast<uintptr_t>(address) % alignof(T) == 0) return;
  char message[160];
  std::snprintf(message, sizeof message, "%s of %zu bytes at %p, which is not aligned to %zu bytes",
                operation, sizeof(T), address, alignof(T));
  registers.running->fail(message);
}

template <class T>
T checked_load(const T* address, const char* operation) {
  check_aligned<T>(address, operation);
  return *address;
}

template <class T>
void checked_store(T* address, T value, const char* operation) {
  check_aligned<T>(address, operation);
  *address = value;
}

}  // namespace cuda_on_cpu

#define CUDA_ON_CPU_LOAD(name)                             \
  template <class T>                                       \
  T name(const T* address) {                               \
    return ::cuda_on_cpu::checked_load<T>(address, #name); \
  }
#define CUDA_ON_CPU_STORE(name)                             \
  template <class T>                                        \
  void name(T* address, T value) {                          \
    ::cuda_on_cpu::checked_store<T>(address, value, #name); \
  }
CUDA_ON_CPU_LOAD(__ldg)
CUDA_ON_CPU_LOAD(__ldcg)
CUDA_ON_CPU_LOAD(__ldca)
CUDA_ON_CPU_LOAD(__ldcs)
CUDA_ON_CPU_LOAD(__ldlu)
CUDA_ON_CPU_LOAD(__ldcv)
CUDA_ON_CPU_STORE(__stwb)
CUDA_ON_CPU_STORE(__stcg)
CUDA_ON_CPU_STORE(__stcs)
CUDA_ON_CPU_STORE(__stwt)
#undef CUDA_ON_CPU_LOAD
#undef CUDA_ON_CPU_STORE
