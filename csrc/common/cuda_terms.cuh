#pragma once
// Gradients of a table's rows: each row's sum of factor * source over its entries, in their order. A group of
// lanes takes a row, so the same bits come from run to run.
#include "common/cuda_segments.cuh"
#include "common/cuda_vector.cuh"

namespace pyrec::cuda {

namespace {

constexpr int term_threads = 256;
constexpr int terms_in_flight = 4;

template <class T>
struct row_terms {
  T* factor;        // (num_entries,) by rows
  int32_t* source;  // (num_entries,) by rows: what the kernel's `rows` knows a vector by
  segments by_row;
};

template <class T>
row_terms<T> take_row_terms(buffer_parts& parts, int64_t num_entries, int64_t num_rows) {
  return {.factor = parts.take<T>(num_entries),
          .source = parts.take<int32_t>(num_entries),
          .by_row = take_segments(parts, num_entries, num_rows)};
}

// grad: (num_rows, dim); rows(source): the dim numbers of a source.
template <int Lanes, int V, class T, class Rows>
__global__ void __launch_bounds__(term_threads)
    add_terms(const row_terms<T> terms, const Rows rows, int64_t dim, T* grad) {
  const int64_t row = grid_thread() / Lanes;
  if (row >= terms.by_row.num_rows) return;
  const int32_t* source = terms.source + terms.by_row.start[row];
  const T* factor = terms.factor + terms.by_row.start[row];
  const int32_t count = terms.by_row.count[row];
  for (int64_t c = static_cast<int>(threadIdx.x) % Lanes * V; c < dim; c += Lanes * V) {
    T sum[V] = {};
    for (int32_t first = 0; first < count; first += terms_in_flight) {
      pack<T, V> vectors[terms_in_flight];
      T factors[terms_in_flight];
#pragma unroll
      for (int i = 0; i < terms_in_flight; ++i) {
        const bool any = first + i < count;
        const int32_t from = any ? source[first + i] : 0;
        factors[i] = any ? factor[first + i] : T(0);
        vectors[i] = any ? load_pack<T, V>(rows(from) + c) : pack<T, V>{};
      }
#pragma unroll
      for (int i = 0; i < terms_in_flight; ++i) {
        for (int v = 0; v < V; ++v) sum[v] += factors[i] * vectors[i].values[v];
      }
    }
    store(grad + row * dim + c, sum);
  }
}

template <int Lanes, int V, class T, class Rows>
void start_terms(const row_terms<T>& terms, const Rows& rows, int64_t dim, T* grad, void* stream) {
  const auto kernel = add_terms<Lanes, V, T, Rows>;
  const unsigned blocks = blocks_for(terms.by_row.num_rows, term_threads / Lanes);
  LAUNCH(kernel, blocks, term_threads, 0, stream, terms, rows, dim, grad);
}

// sums: (num_rows,) of the rows' factors, one thread a row.
template <class T>
__global__ void __launch_bounds__(term_threads) add_factors(const row_terms<T> terms, T* sums) {
  const int64_t row = grid_thread();
  if (row >= terms.by_row.num_rows) return;
  const T* factor = terms.factor + terms.by_row.start[row];
  T sum = 0;
  for (int32_t i = 0; i < terms.by_row.count[row]; ++i) sum += factor[i];
  sums[row] = sum;
}

}  // namespace

}  // namespace pyrec::cuda
