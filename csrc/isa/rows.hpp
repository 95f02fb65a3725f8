#pragma once
// A row of any length, vector by vector.
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

// The sum of the lanes, in float64.
template <class T>
PYREC_INLINE double sum_wide(vec<T> lanes) {
  double total = 0;
  for (int lane = 0; lane < simd<T>::width; ++lane) total += static_cast<double>(lanes[lane]);
  return total;
}

}  // namespace pyrec::PYREC_ISA
