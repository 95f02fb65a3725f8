#pragma once
// Products of tiles in shared memory. Thread (y, x) of a block's 16 x 8 computes N x N results: rows
// y + 16 i, and either the columns x + 8 j (spread) or packs of V side by side (packed), so that the lanes
// of a warp read shared memory without conflicts.
#include "combine/scratch_cuda.hpp"
#include "common/cuda_block.cuh"
#include "common/cuda_vector.cuh"

namespace pyrec::cuda {

// The thread's number in its block.
__device__ __forceinline__ int block_thread() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int tile_row(int i) { return block_thread() / thread_columns + thread_rows * i; }
__device__ __forceinline__ int spread_column(int j) {
  return block_thread() % thread_columns + thread_columns * j;
}
template <class T>
__device__ __forceinline__ int packed_column(int group) {
  return (block_thread() % thread_columns + thread_columns * group) * width<T>;
}

template <class T>
using results = T[per_thread<T>][per_thread<T>];

// Whether spread columns j are among the first `columns` of a result, of some thread at least.
__device__ __forceinline__ bool among_columns(int j, int columns) { return j * thread_columns < columns; }

// multiply_by_rows, where Narrow with no more than the first `columns` of the result.
template <bool Narrow, class T>
__device__ __forceinline__ void multiply_spread(const T* a, const T* b, int steps, int columns,
                                                results<T>& acc) {
  constexpr int V = width<T>, N = per_thread<T>;
  a += tile_row(0) * tile_stride<T>;
  b += spread_column(0) * tile_stride<T>;
#pragma unroll 1
  for (int k = 0; k < steps; k += V) {
    pack<T, V> left[N];
#pragma unroll
    for (int i = 0; i < N; ++i) left[i] = load_pack<T, V>(a + i * thread_rows * tile_stride<T> + k);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      if (Narrow && !among_columns(j, columns)) continue;
      const pack<T, V> right = load_pack<T, V>(b + j * thread_columns * tile_stride<T> + k);
#pragma unroll
      for (int v = 0; v < V; ++v) {
#pragma unroll
        for (int i = 0; i < N; ++i) acc[i][j] += left[i].values[v] * right.values[v];
      }
    }
  }
}

// acc += a b^T over `steps` columns, a multiple of V; the first `columns` of the result, spread.
template <class T>
__device__ __forceinline__ void multiply_by_rows(const T* a, const T* b, int steps, int columns,
                                                 results<T>& acc) {
  if (columns < tile_columns<T>) {
    multiply_spread<true>(a, b, steps, columns, acc);
  } else {
    multiply_spread<false>(a, b, steps, columns, acc);
  }
}

// The packs of row k of b, at this thread's columns.
template <class T>
__device__ __forceinline__ void load_packed(const T* row, T (&to)[per_thread<T>]) {
  constexpr int V = width<T>;
#pragma unroll
  for (int group = 0; group < per_thread<T> / V; ++group) {
    const pack<T, V> values = load_pack<T, V>(row + packed_column<T>(group));
#pragma unroll
    for (int v = 0; v < V; ++v) to[group * V + v] = values.values[v];
  }
}

// acc += a b over `steps` columns of a, a multiple of V; columns of the result packed.
template <class T>
__device__ __forceinline__ void multiply_by_columns(const T* a, const T* b, int steps, results<T>& acc) {
  constexpr int V = width<T>, N = per_thread<T>;
  a += tile_row(0) * tile_stride<T>;
#pragma unroll 1
  for (int k = 0; k < steps; k += V) {
    pack<T, V> left[N];
#pragma unroll
    for (int i = 0; i < N; ++i) left[i] = load_pack<T, V>(a + i * thread_rows * tile_stride<T> + k);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      T right[N];
      load_packed(b + (k + v) * tile_stride<T>, right);
#pragma unroll
      for (int i = 0; i < N; ++i) {
#pragma unroll
        for (int j = 0; j < N; ++j) acc[i][j] += left[i].values[v] * right[j];
      }
    }
  }
}

// A tile of tile_columns squared: sum (+)= a^T b over all rows of both, its first `rows`. A thread has V rows
// side by side, its columns packed; sum is row-major, `stride` from row to row.
template <class T>
__device__ __forceinline__ void add_transposed_product(const T* a, const T* b, bool first, int rows, T* sum,
                                                       int stride) {
  constexpr int V = width<T>, N = per_thread<T>;
  static_assert(thread_rows * V == tile_columns<T>);
  const int row = tile_row(0) * V;
  if (row >= rows) return;
  T acc[V][N] = {};
#pragma unroll 2
  for (int k = 0; k < tile_rows<T>; ++k) {
    const pack<T, V> left = load_pack<T, V>(a + k * tile_stride<T> + row);
    T right[N];
    load_packed(b + k * tile_stride<T>, right);
#pragma unroll
    for (int i = 0; i < V; ++i) {
#pragma unroll
      for (int j = 0; j < N; ++j) acc[i][j] += left.values[i] * right[j];
    }
  }
#pragma unroll
  for (int i = 0; i < V; ++i) {
#pragma unroll
    for (int group = 0; group < N / V; ++group) {
      T* to = sum + (row + i) * stride + packed_column<T>(group);
      pack<T, V> total = first ? pack<T, V>{} : load_pack<T, V>(to);
#pragma unroll
      for (int v = 0; v < V; ++v) total.values[v] += acc[i][group * V + v];
      store_vector(to, total);
    }
  }
}

// Columns [column, column + V) of a row that ends at dim, zero past it. `packed`: 16 bytes at a time, which
// needs rows at multiples of 16 bytes and a dim of whole packs.
template <class T>
__device__ __forceinline__ pack<T, width<T>> load_columns(const T* row, int column, int dim, bool packed) {
  constexpr int V = width<T>;
  pack<T, V> values{};
  if (packed) {
    if (column < dim) values = load_pack<T, V>(row + column);
  } else {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      if (column + v < dim) values.values[v] = row[column + v];
    }
  }
  return values;
}

template <class T>
__device__ __forceinline__ void store_columns(T* row, int column, int dim, bool packed,
                                              const pack<T, width<T>>& values) {
  if (packed) {
    if (column < dim) store_vector(row + column, values);
    return;
  }
#pragma unroll
  for (int v = 0; v < width<T>; ++v) {
    if (column + v < dim) row[column + v] = values.values[v];
  }
}

// to: (Rows, tile_columns) in shared memory = columns from `column` on of source(0) .. source(Rows - 1), zero
// past dim and where the source is null.
template <int Rows, class T, class Source>
__device__ __forceinline__ void stage(const Source& source, int column, int dim, bool packed, T* to) {
  constexpr int V = width<T>, packs = tile_columns<T> / V;
  constexpr int rounds = Rows * packs / tile_threads;
  constexpr int in_flight = rounds < 8 ? rounds : 8;
#pragma unroll 1
  for (int done = 0; done < rounds; done += in_flight) {
    pack<T, V> values[in_flight];
#pragma unroll
    for (int r = 0; r < in_flight; ++r) {
      const int i = (done + r) * tile_threads + block_thread();
      const T* row = source(i / packs);
      values[r] = row != nullptr ? load_columns(row, column + i % packs * V, dim, packed) : pack<T, V>{};
    }
#pragma unroll
    for (int r = 0; r < in_flight; ++r) {
      const int i = (done + r) * tile_threads + block_thread();
      store_vector(to + i / packs * tile_stride<T> + i % packs * V, values[r]);
    }
  }
}

// Columns of a product from `column` on, as many as have to be gone through.
template <class T>
__device__ __forceinline__ int steps_from(int column, int dim) {
  const int left = (dim - column + width<T> - 1) / width<T> * width<T>;
  return left < tile_columns<T> ? left : tile_columns<T>;
}

}  // namespace pyrec::cuda
