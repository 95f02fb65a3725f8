#pragma once
// The rows of a tile of nodes, and what of them is in shared memory.
#include "combine/combine.hpp"
#include "combine/tile_cuda.cuh"

namespace pyrec::cuda {

// The layers, and their gradients, as a kernel takes them.
template <class T>
struct layer_table {
  layer_rows<T> layers[max_combine_layers];
};
template <class T>
struct grad_table {
  T* layers[max_combine_layers];
};

template <class T>
layer_table<T> make_layer_table(const combine_input<T>& in) {
  layer_table<T> table{};
  std::copy_n(in.layers, in.num_layers, table.layers);
  return table;
}
template <class T>
grad_table<T> make_grad_table(T* const* grads, int64_t num_layers) {
  grad_table<T> table{};
  if (grads != nullptr) std::copy_n(grads, num_layers, table.layers);
  return table;
}

// Whether packs may be used at every row of the layers and their gradients.
template <class T>
bool packs_fit(const combine_input<T>& in, T* const* grads) {
  if (in.dim % width<T> != 0) return false;
  for (int64_t l = 0; l < in.num_layers; ++l) {
    if (!aligned(in.layers[l].rows) || in.layers[l].stride % width<T> != 0) return false;
    if (grads != nullptr && !aligned(grads[l])) return false;
  }
  return true;
}

template <class Kernel>
void allow_shared(Kernel* kernel, size_t bytes) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "cudaFuncSetAttribute of shared memory");
}

template <class T>
struct row_table {
  int layer[tile_rows<T>];  // -1 where there is no row
  int node[tile_rows<T>];   // counted from the first of the tile
  bool taken[tile_rows<T>];
  int64_t offset[tile_rows<T>];  // in the layer
};

struct tile_range {
  int64_t begin;
  int64_t end;
};
__device__ __forceinline__ tile_range tiles_of_block(int64_t num_tiles) {
  return {num_tiles * blockIdx.x / gridDim.x, num_tiles * (blockIdx.x + 1) / gridDim.x};
}

template <class T>
__device__ __forceinline__ void fill_rows(const combine_input<T>& in, const layer_table<T>& table, int nodes,
                                          int64_t first, row_table<T>& rows) {
  const int row = block_thread();
  if (row >= tile_rows<T>) return;
  const int layer = row / nodes;
  const int64_t node = first + row % nodes;
  const bool there = layer < in.num_layers && node < in.num_rows;
  rows.layer[row] = there ? layer : -1;
  rows.node[row] = row % nodes;
  rows.taken[row] = there && (in.mask == nullptr || in.mask[node * in.num_layers + layer]);
  rows.offset[row] = there ? node * table.layers[layer].stride : 0;
}

// Of the shared memory for a tile of rows and one of a parameter.
template <class T>
constexpr size_t staged_bytes = (tile_rows<T> + tile_columns<T>)*tile_stride<T> * sizeof(T);

// Tiles of the rows and of a parameter, staged when others are wanted than lie there; all threads ask alike.
template <class T>
struct staged_tiles {
  T* x;
  T* parameter;
  int x_column = -1;
  const T* corner = nullptr;  // of the parameter

  __device__ __forceinline__ void want_x(const layer_table<T>& table, const row_table<T>& rows, int column,
                                         int dim, bool packed) {
    if (x_column == column) return;
    __syncthreads();
    const auto source = [&](int row) {
      const int layer = rows.layer[row];
      return layer < 0 ? nullptr : table.layers[layer].rows + rows.offset[row];
    };
    stage<tile_rows<T>>(source, column, dim, packed, x);
    __syncthreads();
    x_column = column;
  }

  // matrix: (num_rows, dim)
  __device__ __forceinline__ void want_parameter(const T* matrix, int num_rows, int dim, int row, int column,
                                                 bool packed) {
    const T* wanted = matrix + row * dim + column;
    if (corner == wanted) return;
    __syncthreads();
    const auto source = [&](int i) { return row + i < num_rows ? matrix + (row + i) * dim : nullptr; };
    stage<tile_columns<T>>(source, column, dim, packed, parameter);
    __syncthreads();
    corner = wanted;
  }
};

// Over the 8 threads that share a row of results, and over the 4 of a warp that share a column.
template <class T>
__device__ __forceinline__ T sum_over_columns(T value) {
  for (int lane = 1; lane < thread_columns; lane *= 2) value += __shfl_xor_sync(all_lanes, value, lane);
  return value;
}
template <class T>
__device__ __forceinline__ T sum_over_rows(T value) {
  for (int lane = thread_columns; lane < warp; lane *= 2) value += __shfl_xor_sync(all_lanes, value, lane);
  return value;
}

// Slots added up: out[r, c] = the sum over stripes s of numbers[s * stripe + offset + r * stride + c].
template <class T>
struct stripe_part {
  int64_t offset;
  int64_t stride;
  int64_t rows;
  int64_t columns;
  T* out;  // (rows, columns)
};
template <class S, class T, int Parts>
struct stripe_sums {
  const S* numbers;
  int64_t stripe;
  int64_t num_stripes;
  stripe_part<T> parts[Parts];
};

constexpr int sums_per_block = 8;
constexpr int stripes_in_flight = 32;

template <class S, class T, int Parts>
__global__ void __launch_bounds__(sums_per_block* stripes_in_flight)
    add_stripes(const __grid_constant__ stripe_sums<S, T, Parts> a) {
  __shared__ S sums[stripes_in_flight][sums_per_block];
  const int lane = block_thread() % sums_per_block;
  const int group = block_thread() / sums_per_block;
  const stripe_part<T>& part = a.parts[blockIdx.y];
  const int64_t i = int64_t{blockIdx.x} * sums_per_block + lane;
  const bool inside = i < part.rows * part.columns;
  S sum = 0;
  if (inside) {
    const S* from = a.numbers + part.offset + i / part.columns * part.stride + i % part.columns;
#pragma unroll 4
    for (int64_t s = group; s < a.num_stripes; s += stripes_in_flight) sum += from[s * a.stripe];
  }
  sums[group][lane] = sum;
  __syncthreads();
  if (group > 0 || !inside) return;
  for (int other = 1; other < stripes_in_flight; ++other) sum += sums[other][lane];
  part.out[i] = static_cast<T>(sum);
}

template <class S, class T, int Parts>
void launch_add_stripes(const stripe_sums<S, T, Parts>& sums, void* stream) {
  int64_t most = 1;
  for (const stripe_part<T>& part : sums.parts) most = std::max(most, part.rows * part.columns);
  const dim3 grid(blocks_for(most, sums_per_block), Parts);
  const auto kernel = add_stripes<S, T, Parts>;
  LAUNCH(kernel, grid, sums_per_block * stripes_in_flight, 0, stream, sums);
}

}  // namespace pyrec::cuda
