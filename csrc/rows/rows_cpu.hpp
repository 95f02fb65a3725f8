#pragma once
#include "common/parallel.hpp"
#include "isa/simd.hpp"
#include "rows/rows.hpp"

namespace pyrec::PYREC_ISA {

template <class T, class X>
PYREC_INLINE void take_row(const take_rows_args<T, X>& a, int64_t i) {
  constexpr int width = simd<T>::width;
  const int64_t node = a.rows[i];
  T* out = a.out + i * a.dim;
  if (node < 0 || node >= a.num_nodes) {
    for (int64_t c = 0; c < a.dim; ++c) out[c] = T(0);
    return;
  }
  const X* x = a.x + (a.by_entry ? i : node) * a.dim;
  const vec<T> factor = broadcast(a.factor != nullptr ? a.factor[node] : T(1));
  int64_t c = 0;
  for (; c + width <= a.dim; c += width) store(out + c, factor * load(x + c));
  const auto tail = static_cast<int>(a.dim - c);
  if (tail > 0) store_partial(out + c, factor * load_partial(x + c, tail), tail);
}

template <class T, class X = T>
void take_rows(const take_rows_args<T, X>& a) {
  constexpr int64_t rows_per_task = 512;
  parallel_ranges(a.num_rows, rows_per_task, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) take_row(a, i);
  });
}

template <class T>
PYREC_INLINE void add_row(const T* x, T* out, int64_t dim) {
  constexpr int width = simd<T>::width;
  int64_t c = 0;
  for (; c + width <= dim; c += width) store(out + c, load(out + c) + load(x + c));
  for (; c < dim; ++c) out[c] += x[c];
}

// By one thread: a batch's rows are added before others have been woken.
template <class T>
void add_rows(const add_rows_args<T>& a) {
  for (int64_t i = 0; i < a.num_nodes * a.dim; ++i) a.out[i] = T(0);
  for (int64_t i = 0; i < a.num_rows; ++i) {
    const int64_t node = a.rows[i];
    if (node >= 0 && node < a.num_nodes) add_row(a.x + i * a.dim, a.out + node * a.dim, a.dim);
  }
}

constexpr rows_kernels rows_table{
    .take = {take_rows<float>, take_rows<double>, take_rows<float, bfloat16>},
    .add = {add_rows<float>, add_rows<double>},
};

}  // namespace pyrec::PYREC_ISA
