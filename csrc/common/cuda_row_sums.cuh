#pragma once
// Sums of the rows of an array by the row of a table that each names, in the order of the entries.
#include "common/cuda_segments.cuh"
#include "common/cuda_vector.cuh"

namespace pyrec::cuda {

namespace {

constexpr int sum_threads = 256;
constexpr int sums_in_flight = 4;

struct named_row {
  const int64_t* rows;
  __device__ int64_t operator()(int64_t entry) const { return rows[entry]; }
};

struct row_sums {
  segments by_row;
  int32_t* ordered;  // (num_entries,) entries by rows, each row's in their order
};

inline row_sums take_row_sums(buffer_parts& parts, int64_t num_entries, int64_t num_rows) {
  return {.by_row = take_segments(parts, num_entries, num_rows), .ordered = parts.take<int32_t>(num_entries)};
}

__global__ void __launch_bounds__(sum_threads) count_entries(const segments s, const named_row row_of) {
  const int64_t entry = grid_thread();
  if (entry >= s.num_entries) return;
  const int64_t row = row_of(entry);
  take_ticket(s, entry, row, row >= 0 && row < s.num_rows);
}

__global__ void __launch_bounds__(sum_threads) order_entries(const row_sums sums, const named_row row_of) {
  const segments& s = sums.by_row;
  const int64_t entry = grid_thread();
  if (entry >= s.num_entries || s.ticket[entry] < 0) return;
  sums.ordered[place_in_order(s, entry, row_of(entry))] = static_cast<int32_t>(entry);
}

// Entries by the rows that they name; a row that the table has not is left out.
inline void order_by_row(const row_sums& sums, const int64_t* rows, void* stream) {
  const named_row row_of{rows};
  const unsigned blocks = blocks_for(sums.by_row.num_entries, sum_threads);
  start_segments(sums.by_row, stream);
  LAUNCH(count_entries, blocks, sum_threads, 0, stream, sums.by_row, row_of);
  place_segments(sums.by_row, row_of, stream);
  LAUNCH(order_entries, blocks, sum_threads, 0, stream, sums, row_of);
}

// Some columns of an array.
template <class T>
struct column_block {
  T* first;
  int64_t stride;  // from row to row
};

template <int Lanes, int V, class T>
__global__ void __launch_bounds__(sum_threads)
    add_entries(const row_sums sums, const column_block<const T> x, const column_block<T> out, int64_t dim) {
  const int64_t row = grid_thread() / Lanes;
  if (row >= sums.by_row.num_rows) return;
  const int32_t* entries = sums.ordered + sums.by_row.start[row];
  const int32_t count = sums.by_row.count[row];
  for (int64_t c = static_cast<int>(threadIdx.x) % Lanes * V; c < dim; c += Lanes * V) {
    T sum[V] = {};
    for (int32_t first = 0; first < count; first += sums_in_flight) {
      pack<T, V> terms[sums_in_flight];
#pragma unroll
      for (int i = 0; i < sums_in_flight; ++i) {
        const bool any = first + i < count;
        const int64_t at = any ? int64_t{entries[first + i]} * x.stride + c : 0;
        terms[i] = any ? load_pack<T, V>(x.first + at) : pack<T, V>{};
      }
#pragma unroll
      for (int i = 0; i < sums_in_flight; ++i) {
        for (int v = 0; v < V; ++v) sum[v] += terms[i].values[v];
      }
    }
    store(out.first + row * out.stride + c, sum);
  }
}

template <int Lanes, int V, class T>
void start_add_entries(const row_sums& sums, const column_block<const T>& x, const column_block<T>& out,
                       int64_t dim, void* stream) {
  const auto kernel = add_entries<Lanes, V, T>;
  const unsigned blocks = blocks_for(sums.by_row.num_rows, sum_threads / Lanes);
  LAUNCH(kernel, blocks, sum_threads, 0, stream, sums, x, out, dim);
}

// out, row r: the sum of x over the entries of row r, in their order, of `dim` columns. After order_by_row.
template <class T>
void sum_by_row(const row_sums& sums, const column_block<const T>& x, const column_block<T>& out, int64_t dim,
                void* stream) {
  if constexpr (sizeof(T) == 4) {
    if (dim % 4 == 0 && x.stride % 4 == 0 && out.stride % 4 == 0 && aligned(x.first) && aligned(out.first)) {
      return dim <= 64 ? start_add_entries<16, 4>(sums, x, out, dim, stream)
                       : start_add_entries<32, 4>(sums, x, out, dim, stream);
    }
  }
  start_add_entries<32, 1>(sums, x, out, dim, stream);
}

}  // namespace

}  // namespace pyrec::cuda
