// Taking: a thread takes V columns of a row. Adding: a group of lanes takes a row of the table for its
// entries, in the order that cuda_segments.cuh makes.
#include "common/cuda_segments.cuh"
#include "common/cuda_vector.cuh"
#include "rows/rows.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;
constexpr int in_flight = 4;

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

struct named_row {
  const int64_t* rows;
  __device__ int64_t operator()(int64_t entry) const { return rows[entry]; }
};

// Parts of add_rows_args.scratch.
struct addition {
  segments by_row;
  int32_t* ordered;  // (num_rows,) entries by rows, each row's in their order
};

addition lay_out(int64_t num_rows, int64_t num_nodes, buffer_parts& parts) {
  return {.by_row = take_segments(parts, num_rows, num_nodes), .ordered = parts.take<int32_t>(num_rows)};
}

__global__ void __launch_bounds__(threads) count_entries(const segments s, const named_row row_of) {
  const int64_t entry = grid_thread();
  if (entry >= s.num_entries) return;
  const int64_t row = row_of(entry);
  take_ticket(s, entry, row, row >= 0 && row < s.num_rows);
}

__global__ void __launch_bounds__(threads) order_entries(const addition parts, const named_row row_of) {
  const segments& s = parts.by_row;
  const int64_t entry = grid_thread();
  if (entry >= s.num_entries || s.ticket[entry] < 0) return;
  parts.ordered[place_in_order(s, entry, row_of(entry))] = static_cast<int32_t>(entry);
}

template <int Lanes, int V, class T>
__global__ void __launch_bounds__(threads) add_entries(const add_rows_args<T> a, const addition parts) {
  const int64_t row = grid_thread() / Lanes;
  if (row >= a.num_nodes) return;
  const int32_t* entries = parts.ordered + parts.by_row.start[row];
  const int32_t count = parts.by_row.count[row];
  for (int64_t c = static_cast<int>(threadIdx.x) % Lanes * V; c < a.dim; c += Lanes * V) {
    T sum[V] = {};
    for (int32_t first = 0; first < count; first += in_flight) {
      pack<T, V> terms[in_flight];
#pragma unroll
      for (int i = 0; i < in_flight; ++i) {
        const bool any = first + i < count;
        terms[i] = any ? load_pack<T, V>(a.x + int64_t{entries[first + i]} * a.dim + c) : pack<T, V>{};
      }
#pragma unroll
      for (int i = 0; i < in_flight; ++i) {
        for (int v = 0; v < V; ++v) sum[v] += terms[i].values[v];
      }
    }
    store(a.out + row * a.dim + c, sum);
  }
}

template <int Lanes, int V, class T>
void start_add_rows(const add_rows_args<T>& a) {
  buffer_parts buffer(a.scratch);
  const addition parts = lay_out(a.num_rows, a.num_nodes, buffer);
  const named_row row_of{a.rows};
  const unsigned blocks = blocks_for(a.num_rows, threads);
  start_segments(parts.by_row, a.stream);
  LAUNCH(count_entries, blocks, threads, 0, a.stream, parts.by_row, row_of);
  place_segments(parts.by_row, row_of, a.stream);
  LAUNCH(order_entries, blocks, threads, 0, a.stream, parts, row_of);
  const auto kernel = add_entries<Lanes, V, T>;
  LAUNCH(kernel, blocks_for(a.num_nodes, threads / Lanes), threads, 0, a.stream, a, parts);
}

template <class T>
void add_rows(const add_rows_args<T>& a) {
  if (a.num_nodes == 0) return;
  if (a.num_rows == 0) {
    const auto bytes = static_cast<size_t>(a.num_nodes * a.dim) * sizeof(T);
    const auto stream = static_cast<cudaStream_t>(a.stream);
    return check(cudaMemsetAsync(a.out, 0, bytes, stream), "cudaMemsetAsync of rows");
  }
  if constexpr (sizeof(T) == 4) {
    if (a.dim % 4 == 0 && aligned(a.x) && aligned(a.out)) {
      return a.dim <= 64 ? start_add_rows<16, 4>(a) : start_add_rows<32, 4>(a);
    }
  }
  start_add_rows<32, 1>(a);
}

int64_t scratch_bytes(int64_t num_rows, int64_t num_nodes) {
  buffer_parts parts(nullptr);
  lay_out(num_rows, num_nodes, parts);
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
