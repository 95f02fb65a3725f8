#pragma once
#include "bpr/bpr.hpp"
#include "isa/simd.hpp"

namespace pyrec::PYREC_ISA {

// Calls body(column, read, write) for each vector of a row, the last one by its `dim % width` lanes alone.
template <class T, class Body>
PYREC_INLINE void for_vectors(int64_t dim, const Body& body) {
  constexpr int width = simd<T>::width;
  int64_t column = 0;
  for (; column + width <= dim; column += width) {
    body(column, [](const T* from) { return load(from); }, [](T* to, vec<T> value) { store(to, value); });
  }
  const int tail = static_cast<int>(dim - column);
  if (tail == 0) return;
  body(
      column, [=](const T* from) { return load_partial(from, tail); },
      [=](T* to, vec<T> value) { store_partial(to, value, tail); });
}

template <class T>
PYREC_INLINE double margin(const T* user, const T* positive, const T* negative, int64_t dim) {
  vec<T> sum{};
  for_vectors<T>(dim, [&](int64_t c, const auto& read, const auto&) {
    sum = multiply_add(read(user + c), read(negative + c) - read(positive + c), sum);
  });
  double total = 0;
  for (int lane = 0; lane < simd<T>::width; ++lane) total += static_cast<double>(sum[lane]);
  return total;
}

// grad of a user, positive and negative, one after the other: they may be the same row.
template <class T>
PYREC_INLINE void add_gradients(const bpr_args<T>& a, int64_t user, int64_t positive, int64_t negative,
                                T factor) {
  const T* u = a.vectors + user * a.dim;
  const T* p = a.vectors + positive * a.dim;
  const T* n = a.vectors + negative * a.dim;
  for_vectors<T>(a.dim, [&](int64_t c, const auto& read, const auto& write) {
    const auto add = [&](int64_t row, vec<T> value) {
      T* at = a.grad + row * a.dim + c;
      write(at, multiply_add(broadcast(factor), value, read(at)));
    };
    add(user, read(n + c) - read(p + c));
    add(positive, -read(u + c));
    add(negative, read(u + c));
  });
}

template <class T>
void bpr(const bpr_args<T>& a) {
  for (int64_t i = 0; i < a.num_rows * a.dim; ++i) a.grad[i] = T(0);
  const double share = 1.0 / static_cast<double>(a.num_samples * a.num_negatives);
  double total = 0;
  for (int64_t s = 0; s < a.num_samples; ++s) {
    for (int64_t j = 0; j < a.num_negatives; ++j) {
      const int64_t negative = a.negatives[s * a.num_negatives + j];
      const T* u = a.vectors + a.users[s] * a.dim;
      const T* p = a.vectors + a.positives[s] * a.dim;
      const double x = margin(u, p, a.vectors + negative * a.dim, a.dim);
      const double decay = __builtin_exp(-__builtin_fabs(x));
      total += (x > 0 ? x : 0) + __builtin_log1p(decay);
      const double sigmoid = (x > 0 ? 1 : decay) / (1 + decay);
      add_gradients(a, a.users[s], a.positives[s], negative, static_cast<T>(sigmoid * share));
    }
  }
  *a.loss = static_cast<T>(total * share);
}

}  // namespace pyrec::PYREC_ISA
