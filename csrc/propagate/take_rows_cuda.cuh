#pragma once
// A thread takes V columns of a row.
#include "common/cuda_block.cuh"
#include "common/cuda_vector.cuh"
#include "propagate/take_rows.hpp"

namespace pyrec::cuda {

namespace {

constexpr int take_threads = 256;

template <int V, class T, class X>
__global__ void __launch_bounds__(take_threads) take_some_rows(const take_rows_args<T, X> a) {
  const int64_t packs = a.dim / V;
  const int64_t i = thread_index() / packs;
  if (i >= a.num_rows) return;
  const int64_t column = thread_index() % packs * V;
  const int64_t node = a.rows[i];
  T value[V] = {};
  if (node >= 0 && node < a.num_nodes) {
    const T factor = a.factor != nullptr ? a.factor[node] : T(1);
    load(a.x + (a.by_entry ? i : node) * a.dim + column, value);
    for (int v = 0; v < V; ++v) value[v] *= factor;
  }
  store(a.out + i * a.dim + column, value);
}

template <int V, class T, class X>
void start_take_rows(const take_rows_args<T, X>& a) {
  const auto kernel = take_some_rows<V, T, X>;
  LAUNCH(kernel, blocks_for(a.num_rows * (a.dim / V), take_threads), take_threads, 0, a.stream, a);
}

template <class T, class X = T>
void take_rows(const take_rows_args<T, X>& a) {
  if (a.num_rows == 0) return;
  const bool packed = sizeof(T) == 4 && a.dim % 4 == 0 && aligned(a.x) && aligned(a.out);
  packed ? start_take_rows<4>(a) : start_take_rows<1>(a);
}

}  // namespace

}  // namespace pyrec::cuda
