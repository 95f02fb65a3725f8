#pragma once
// Atomics, for the types that CUDA has them for: blocks run on several threads of the CPU.
#include <atomic>
#include <type_traits>

#include "races.hpp"

namespace cuda_on_cpu {

template <class T, class... Allowed>
concept one_of = (std::is_same_v<T, Allowed> || ...);
template <class T>
concept atomic_integer = one_of<T, int, unsigned, unsigned long long>;
template <class T>
concept atomic_ordered = one_of<T, int, unsigned, long long, unsigned long long>;
template <class T>
concept atomic_number = atomic_integer<T> || one_of<T, float, double>;

constexpr auto relaxed = std::memory_order_relaxed;

// *address = change(*address); returns what was there.
template <class T, class Change>
T atomic_update(T* address, const Change& change) {
  const std::atomic_ref<T> target(*address);
  T old = target.load(relaxed);
  while (!target.compare_exchange_weak(old, change(old), relaxed)) {
  }
  return old;
}

}  // namespace cuda_on_cpu

template <cuda_on_cpu::atomic_number T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).fetch_add(value, cuda_on_cpu::relaxed);
}
template <cuda_on_cpu::one_of<int, unsigned> T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).fetch_sub(value, cuda_on_cpu::relaxed);
}
template <cuda_on_cpu::atomic_ordered T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return cuda_on_cpu::atomic_update(address, [&](T old) { return old < value ? value : old; });
}
template <cuda_on_cpu::atomic_ordered T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return cuda_on_cpu::atomic_update(address, [&](T old) { return value < old ? value : old; });
}
template <cuda_on_cpu::atomic_ordered T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).fetch_or(value, cuda_on_cpu::relaxed);
}
template <cuda_on_cpu::atomic_ordered T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).fetch_and(value, cuda_on_cpu::relaxed);
}
template <cuda_on_cpu::atomic_ordered T>
T atomicXor(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).fetch_xor(value, cuda_on_cpu::relaxed);
}
template <class T>
  requires(cuda_on_cpu::atomic_integer<T> || std::is_same_v<T, float>)
T atomicExch(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).exchange(value, cuda_on_cpu::relaxed);
}
template <class T>
  requires(cuda_on_cpu::atomic_integer<T> || std::is_same_v<T, unsigned short>)
T atomicCAS(T* address, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  std::atomic_ref<T>(*address).compare_exchange_strong(compare, value, cuda_on_cpu::relaxed);
  return compare;
}
inline unsigned atomicInc(unsigned* address, unsigned last) {
  return cuda_on_cpu::atomic_update(address, [&](unsigned old) { return old >= last ? 0 : old + 1; });
}

// ThreadSanitizer knows no fences: it is told of an order between all of them.
inline void __threadfence() {
#ifdef __SANITIZE_THREAD__
  static char fences = 0;
  cuda_on_cpu::order_after(&fences);
  cuda_on_cpu::order_before(&fences);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}
inline void __threadfence_block() { __threadfence(); }
