#pragma once
// The weighted sum: a group of lanes takes a row, each lane a pack of its columns.
#include "combine/rows_cuda.cuh"

namespace pyrec::cuda {

constexpr int weighted_threads = 256;
constexpr int layers_at_once = 4;

// The lanes of a row: a power of two, a warp at most.
struct row_lanes {
  int count;

  __device__ __forceinline__ int row() const { return block_thread() / count; }
  __device__ __forceinline__ int lane() const { return block_thread() & (count - 1); }
  __host__ __device__ int rows() const { return weighted_threads / count; }
};

inline row_lanes lanes_for(int64_t dim, int packed_width) {
  int count = 1;
  while (count < warp && count * packed_width < dim) count *= 2;
  return {count};
}

template <class T, int V>
__global__ void __launch_bounds__(weighted_threads)
    weighted(const __grid_constant__ combine_weighted_args<T> a, const __grid_constant__ layer_table<T> table,
             const row_lanes lanes) {
  const int64_t row = int64_t{blockIdx.x} * lanes.rows() + lanes.row();
  if (row >= a.input.num_rows) return;
  const int num_layers = static_cast<int>(a.input.num_layers);
  for (int column = lanes.lane() * V; column < a.input.dim; column += lanes.count * V) {
    T sum[V] = {};
#pragma unroll 4
    for (int l = 0; l < num_layers; ++l) {
      T x[V];
      load(table.layers[l].rows + row * table.layers[l].stride + column, x);
#pragma unroll
      for (int v = 0; v < V; ++v) sum[v] = multiply_add(a.alpha[l], x[v], sum[v]);
    }
    store(a.out + row * a.input.dim + column, sum);
  }
}

// One pack of a row, for `count` layers from `first` on, at most layers_at_once: dx_l = alpha_l g.
template <class T, int V>
__device__ __forceinline__ void write_weighted_grads(const grad_table<T>& grads, int first, int count,
                                                     int64_t offset, const T (&alpha)[layers_at_once],
                                                     const pack<T, V>& g) {
#pragma unroll
  for (int j = 0; j < layers_at_once; ++j) {
    if (j >= count) break;
    pack<T, V> dx;
#pragma unroll
    for (int v = 0; v < V; ++v) dx.values[v] = alpha[j] * g.values[v];
    store_global(grads.layers[first + j] + offset, dx);
  }
}

// The same: dots grow by <g, x_l>.
template <class T, int V>
__device__ __forceinline__ void add_weighted_dots(const layer_table<T>& table, int first, int count,
                                                  int64_t row, int column, const pack<T, V>& g,
                                                  double (&dots)[layers_at_once]) {
  pack<T, V> x[layers_at_once];
#pragma unroll
  for (int j = 0; j < layers_at_once; ++j) {
    const layer_rows<T>& layer = table.layers[first + j];
    x[j] = j < count ? load_pack<T, V>(layer.rows + row * layer.stride + column) : pack<T, V>{};
  }
#pragma unroll
  for (int j = 0; j < layers_at_once; ++j) {
    T dot = 0;
#pragma unroll
    for (int v = 0; v < V; ++v) dot += g.values[v] * x[j].values[v];
    dots[j] += static_cast<double>(dot);
  }
}

// sum: of each of the block's layers_at_once dots, in thread 0 .. layers_at_once - 1.
__device__ __forceinline__ double sum_over_block(const double (&dots)[layers_at_once]) {
  constexpr int warps = weighted_threads / warp;
  __shared__ double sums[warps][layers_at_once];
  __syncthreads();
#pragma unroll
  for (int j = 0; j < layers_at_once; ++j) {
    const double dot = group_sum<warp>(dots[j]);
    if (block_thread() % warp == 0) sums[block_thread() / warp][j] = dot;
  }
  __syncthreads();
  double total = 0;
  if (block_thread() < layers_at_once) {
    for (int w = 0; w < warps; ++w) total += sums[w][block_thread()];
  }
  return total;
}

// A block takes a stripe of rows.
template <class T, int V>
__global__ void __launch_bounds__(weighted_threads, 4)
    weighted_grad(const __grid_constant__ combine_weighted_grad_args<T> a,
                  const __grid_constant__ layer_table<T> table, const __grid_constant__ grad_table<T> grads,
                  const row_lanes lanes) {
  const int num_layers = static_cast<int>(a.input.num_layers);
  const tile_range rows = tiles_of_block(a.input.num_rows);
  for (int first = 0; first < num_layers; first += layers_at_once) {
    const int count = min(layers_at_once, num_layers - first);
    T alpha[layers_at_once];
#pragma unroll
    for (int j = 0; j < layers_at_once; ++j) alpha[j] = j < count ? a.alpha[first + j] : T(0);
    double dots[layers_at_once] = {};
    for (int64_t row = rows.begin + lanes.row(); row < rows.end; row += lanes.rows()) {
      for (int column = lanes.lane() * V; column < a.input.dim; column += lanes.count * V) {
        const int64_t offset = row * a.input.dim + column;
        const auto g = load_pack<T, V>(a.grad + offset);
        if (a.grad_alpha != nullptr) add_weighted_dots(table, first, count, row, column, g, dots);
        if (a.grad_layers != nullptr) write_weighted_grads(grads, first, count, offset, alpha, g);
      }
    }
    const double total = sum_over_block(dots);
    const int l = first + block_thread();
    if (block_thread() < layers_at_once && l < num_layers) {
      a.partial[int64_t{blockIdx.x} * num_layers + l] = total;
    }
  }
}

template <class T, int V>
void launch_weighted(const combine_weighted_args<T>& a) {
  const row_lanes lanes = lanes_for(a.input.dim, V);
  const unsigned blocks = blocks_for(a.input.num_rows, lanes.rows());
  const auto kernel = weighted<T, V>;
  LAUNCH(kernel, blocks, weighted_threads, 0, a.stream, a, make_layer_table(a.input), lanes);
}

template <class T>
void combine_weighted(const combine_weighted_args<T>& a) {
  if (a.input.num_rows == 0) return;
  const bool packed = packs_fit<T>(a.input, nullptr) && aligned(a.out);
  packed ? launch_weighted<T, width<T>>(a) : launch_weighted<T, 1>(a);
}

template <class T, int V>
void launch_weighted_grad(const combine_weighted_grad_args<T>& a) {
  const row_lanes lanes = lanes_for(a.input.dim, V);
  const auto blocks = static_cast<unsigned>(weighted_stripes(a.input.num_rows));
  const auto kernel = weighted_grad<T, V>;
  LAUNCH(kernel, blocks, weighted_threads, 0, a.stream, a, make_layer_table(a.input),
         make_grad_table(a.grad_layers, a.input.num_layers), lanes);
}

template <class T>
void combine_weighted_grad(const combine_weighted_grad_args<T>& a) {
  const int64_t num_layers = a.input.num_layers;
  const bool packed = packs_fit(a.input, a.grad_layers) && aligned(a.grad);
  if (a.input.num_rows > 0) packed ? launch_weighted_grad<T, width<T>>(a) : launch_weighted_grad<T, 1>(a);
  if (a.grad_alpha == nullptr) return;
  const stripe_sums<double, T, 1> sums{.numbers = a.partial,
                                       .stripe = num_layers,
                                       .num_stripes = weighted_stripes(a.input.num_rows),
                                       .parts = {{0, num_layers, 1, num_layers, a.grad_alpha}}};
  launch_add_stripes(sums, a.stream);
}

}  // namespace pyrec::cuda
