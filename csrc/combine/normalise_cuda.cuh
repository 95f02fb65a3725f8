#pragma once
// Rows of a tile brought to length 1; the algebra is that of normalise_cpu.hpp.
#include "combine/rows_cuda.cuh"

namespace pyrec::cuda {

// Numbers of a tile's rows in shared memory, by row.
template <class T>
using row_values = T[tile_rows<T>];

// inverse: 1 / ||x|| of each row, 0 for a row of zeros; there for all threads on return.
template <class T>
__device__ __forceinline__ void inverse_lengths(const layer_table<T>& table, const row_table<T>& rows,
                                                int dim, bool packed, staged_tiles<T>& staged,
                                                row_values<T>& inverse) {
  constexpr int N = per_thread<T>, V = width<T>;
  T squares[N] = {};
  for (int column = 0; column < dim; column += tile_columns<T>) {
    staged.want_x(table, rows, column, dim, packed);
#pragma unroll
    for (int i = 0; i < N; ++i) {
#pragma unroll
      for (int group = 0; group < N / V; ++group) {
        const T* from = staged.x + tile_row(i) * tile_stride<T> + packed_column<T>(group);
        const pack<T, V> x = load_pack<T, V>(from);
#pragma unroll
        for (int v = 0; v < V; ++v) squares[i] += x.values[v] * x.values[v];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const T sum = sum_over_columns(squares[i]);
    if (spread_column(0) == 0) inverse[tile_row(i)] = sum < least_square_sum<T> ? T(0) : 1 / sqrt(sum);
  }
  __syncthreads();
}

// acc[row] *= factors[row]
template <class T>
__device__ __forceinline__ void scale_rows(const row_values<T>& factors, results<T>& acc) {
#pragma unroll
  for (int i = 0; i < per_thread<T>; ++i) {
    const T factor = factors[tile_row(i)];
#pragma unroll
    for (int j = 0; j < per_thread<T>; ++j) acc[i][j] *= factor;
  }
}

// z, at the first `columns` of acc = r x W^T, becomes r z; along[row] = r^2 <x, y> for what these columns
// bring to y = r z W, since <x, W_h> r z_h = acc_h z_h.
template <class T>
__device__ __forceinline__ void scale_hidden_grads(const row_values<T>& inverse, int columns,
                                                   const results<T>& acc, T* z, row_values<T>& along) {
  constexpr int N = per_thread<T>;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int row = tile_row(i);
    const T r = inverse[row];
    T dot = 0;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      if (!among_columns(j, columns)) continue;
      T& grad = z[row * tile_stride<T> + spread_column(j)];
      dot += acc[i][j] * grad;
      grad *= r;
    }
    dot = sum_over_columns(dot);
    if (spread_column(0) == 0) along[row] = r * r * dot;
  }
}

}  // namespace pyrec::cuda
