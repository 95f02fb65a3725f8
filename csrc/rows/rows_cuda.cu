// Taking: a thread takes V columns of a row. Adding: a group of lanes takes a row of the table for its
// entries, in the order that cuda_row_sums.cuh makes.
#include "common/cuda_row_sums.cuh"
#include "rows/rows.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;

template <int V, class T, class X>
__global__ void __launch_bounds__(threads) take_some_rows(const take_rows_args<T, X> a) {
  const int64_t packs = a.dim / V;
  const int64_t i = grid_thread() / packs;
  if (i >= a.num_rows) return;
  const int64_t column = grid_thread() % packs * V;
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
  LAUNCH(kernel, blocks_for(a.num_rows * (a.dim / V), threads), threads, 0, a.stream, a);
}

template <class T, class X = T>
void take_rows(const take_rows_args<T, X>& a) {
  if (a.num_rows == 0) return;
  const bool packed = sizeof(T) == 4 && a.dim % 4 == 0 && aligned(a.x) && aligned(a.out);
  packed ? start_take_rows<4>(a) : start_take_rows<1>(a);
}

template <class T>
void add_rows(const add_rows_args<T>& a) {
  if (a.num_nodes == 0) return;
  if (a.num_rows == 0) {
    const auto bytes = static_cast<size_t>(a.num_nodes * a.dim) * sizeof(T);
    const auto stream = static_cast<cudaStream_t>(a.stream);
    return check(cudaMemsetAsync(a.out, 0, bytes, stream), "cudaMemsetAsync of rows");
  }
  buffer_parts buffer(a.scratch);
  const row_sums sums = take_row_sums(buffer, a.num_rows, a.num_nodes);
  order_by_row(sums, a.rows, a.stream);
  sum_by_row<T>(sums, {a.x, a.dim}, {a.out, a.dim}, a.dim, a.stream);
}

int64_t scratch_bytes(int64_t num_rows, int64_t num_nodes) {
  buffer_parts parts(nullptr);
  take_row_sums(parts, num_rows, num_nodes);
  return parts.bytes();
}

}  // namespace

rows_kernels rows() {
  return {
      .take = {take_rows<float>, take_rows<double>, take_rows<float, bfloat16>},
      .add = {add_rows<float>, add_rows<double>},
      .scratch = scratch_bytes,
  };
}

}  // namespace pyrec::cuda
