#pragma once
// Multi-head self-attention; the formulas are those of self_attention_cpu.hpp, but V = X W_v is made, since a
// whole tile is multiplied at a time: E = sum_k a_k V_k, dV_k = a_k g, da_k = <g, V_k>, dW_v += X^T dV.
//
// A block keeps Q, K, V and their gradients in its stripe of the scratch, a column of all its rows side by side
// (lanes), and one head's weights in shared memory.
#include "combine/rows_cuda.cuh"

namespace pyrec::cuda {

enum self_attention_lanes { query_lanes, key_lanes, value_lanes, grad_query_lanes, grad_key_lanes };

// In shared memory besides the tiles; values by row.
template <class T>
struct self_attention_rows {
  row_table<T> rows;
  T share[tile_rows<T>];  // 1 / the number of the node's queries, 0 where the row is none
  T mean[tile_rows<T>];   // a of the head
  T grad[tile_rows<T>];   // da of the head
};

// What a block works on.
template <class T, class Args>
struct self_attention_block {
  const Args& a;
  const tile_stripes& at;
  self_attention_rows<T>& tile;
  T* weights;  // shared: (L keys, rows) A of the head
  T* lanes;    // of the stripe
  int64_t first_node;

  __device__ __forceinline__ int dim() const { return static_cast<int>(a.input.dim); }
  __device__ __forceinline__ int num_layers() const { return static_cast<int>(a.input.num_layers); }
  __device__ __forceinline__ int head_dim() const { return dim() / static_cast<int>(a.attention.num_heads); }
  __device__ __forceinline__ T* column(int which, int column) const {
    return lanes + (int64_t{which} * at.dim + column) * tile_rows<T>;
  }
  __device__ __forceinline__ const T* parameter(int which) const {
    return which == query_lanes ? a.attention.query
           : which == key_lanes ? a.attention.key
                                : a.attention.value;
  }
};

template <class T, class Args>
__device__ __forceinline__ void fill_shares(const self_attention_block<T, Args>& b) {
  const int row = block_thread();
  if (row >= tile_rows<T>) return;
  int queries = 0;
  for (int q = b.tile.rows.node[row]; q < b.num_layers() * b.at.nodes; q += b.at.nodes) {
    queries += b.tile.rows.taken[q] ? 1 : 0;
  }
  b.tile.share[row] = b.tile.rows.taken[row] ? 1 / static_cast<T>(queries) : T(0);
}

// Lanes of Q, K and V.
template <class T, class Args>
__device__ __forceinline__ void project_lanes(const self_attention_block<T, Args>& b,
                                              const layer_table<T>& table, bool packed,
                                              staged_tiles<T>& staged) {
  constexpr int N = per_thread<T>, V = width<T>, C = tile_columns<T>;
  const int dim = b.dim();
#pragma unroll 1
  for (int i = 0; i < 3 * b.at.dim; i += C) {
    const int which = i / b.at.dim, first = i % b.at.dim;
    T acc[N][N] = {};
    for (int step = 0; step < dim; step += C) {
      staged.want_x(table, b.tile.rows, step, dim, packed);
      staged.want_parameter(b.parameter(which), dim, dim, step, first, packed);
      multiply_by_columns(staged.x, staged.parameter, steps_from<T>(step, dim), acc);
    }
#pragma unroll
    for (int j = 0; j < N; ++j) {
      T* to = b.column(which, first + packed_column<T>(j / V) + j % V);
#pragma unroll
      for (int r = 0; r < N; ++r) to[tile_row(r)] = acc[r][j];
    }
  }
  __syncthreads();
}

// weights: (L keys, rows) = scaled products of each row's query with the keys of its node, then their
// softmax.
template <class T, class Args>
__device__ __forceinline__ void head_weights(const self_attention_block<T, Args>& b, int first) {
  const row_table<T>& rows = b.tile.rows;
  const int head_dim = b.head_dim();
  const T scale = 1 / sqrt(static_cast<T>(head_dim));
  for (int i = block_thread(); i < b.num_layers() * tile_rows<T>; i += tile_threads) {
    const int row = i % tile_rows<T>;
    const int key = i / tile_rows<T> * b.at.nodes + rows.node[row];
    const T* left = b.column(query_lanes, first) + row;
    const T* right = b.column(key_lanes, first) + key;
    T dot = 0;
#pragma unroll 4
    for (int c = 0; c < head_dim; ++c) dot += left[c * tile_rows<T>] * right[c * tile_rows<T>];
    b.weights[i] = rows.taken[key] ? scale * dot : -T(INFINITY);
  }
  __syncthreads();
  const int row = block_thread();
  if (row < tile_rows<T>) {
    T most = -T(INFINITY), sum = 0;
    for (int k = 0; k < b.num_layers(); ++k) most = max(most, b.weights[k * tile_rows<T> + row]);
    for (int k = 0; k < b.num_layers(); ++k) {
      T& weight = b.weights[k * tile_rows<T> + row];
      weight = rows.taken[k * b.at.nodes + rows.node[row]] ? exp(weight - most) : T(0);
      sum += weight;
    }
    const T factor = sum == T(0) ? T(0) : 1 / sum;
    for (int k = 0; k < b.num_layers(); ++k) b.weights[k * tile_rows<T> + row] *= factor;
  }
  __syncthreads();
}

// mean: a of each row as a key of the head. Threads of rows alone, no barrier.
template <class T, class Args>
__device__ __forceinline__ void head_mean(const self_attention_block<T, Args>& b) {
  const int row = block_thread();
  const int key = b.tile.rows.layer[row];
  T mean = 0;
  if (key >= 0) {
    for (int q = b.tile.rows.node[row]; q < b.num_layers() * b.at.nodes; q += b.at.nodes) {
      mean += b.tile.share[q] * b.weights[key * tile_rows<T> + q];
    }
  }
  b.tile.mean[row] = mean;
}

// out at the head's columns = sum_k a_k V_k
template <class T>
__device__ __forceinline__ void head_output(const self_attention_block<T, combine_self_attention_args<T>>& b,
                                            int first) {
  for (int i = block_thread(); i < b.head_dim() * b.at.nodes; i += tile_threads) {
    const int node = i % b.at.nodes, column = first + i / b.at.nodes;
    if (b.first_node + node >= b.a.input.num_rows) continue;
    const T* value = b.column(value_lanes, column);
    T sum = 0;
    for (int k = node; k < b.num_layers() * b.at.nodes; k += b.at.nodes) sum += b.tile.mean[k] * value[k];
    b.a.out[(b.first_node + node) * b.a.input.dim + column] = sum;
  }
}

template <class T>
__global__ void __launch_bounds__(tile_threads, 3)
    self_attention(const __grid_constant__ combine_self_attention_args<T> a,
                   const __grid_constant__ layer_table<T> table, const self_attention_stripes stripes,
                   const bool packed) {
  DYNAMIC_SHARED(T, tiles);
  __shared__ self_attention_rows<T> tile;
  staged_tiles<T> staged{tiles, tiles + tile_rows<T> * tile_stride<T>};
  self_attention_block<T, combine_self_attention_args<T>> b{
      a,
      stripes.tiles,
      tile,
      staged.parameter + tile_columns<T> * tile_stride<T>,
      a.scratch + blockIdx.x * stripes.tiles.stripe + stripes.lanes,
      0};
  const tile_range range = tiles_of_block(b.at.num_tiles);
  const int row = block_thread();
  for (int64_t t = range.begin; t < range.end; ++t) {
    b.first_node = t * b.at.nodes;
    __syncthreads();
    fill_rows(a.input, table, b.at.nodes, b.first_node, tile.rows);
    staged.x_column = -1;
    project_lanes(b, table, packed, staged);
    fill_shares(b);
    T alpha = 0;
    for (int first = 0; first < b.dim(); first += b.head_dim()) {
      head_weights(b, first);
      if (row < tile_rows<T>) {
        head_mean(b);
        alpha += tile.mean[row] / static_cast<T>(a.attention.num_heads);
      }
      __syncthreads();
      head_output(b, first);
    }
    if (row < tile_rows<T> && tile.rows.layer[row] >= 0) {
      a.alpha[(b.first_node + tile.rows.node[row]) * b.num_layers() + tile.rows.layer[row]] = alpha;
    }
  }
}

template <class T>
void combine_self_attention(const combine_self_attention_args<T>& a) {
  const combine_input<T>& in = a.input;
  const auto at = make_self_attention_stripes<T>(in.num_rows, in.num_layers, in.dim, false);
  if (at.tiles.num_tiles == 0) return;
  const bool packed = packs_fit<T>(in, nullptr) && aligned(a.attention.query) && aligned(a.attention.key) &&
                      aligned(a.attention.value);
  const size_t bytes = staged_bytes<T> + static_cast<size_t>(in.num_layers) * tile_rows<T> * sizeof(T);
  const auto kernel = self_attention<T>;
  allow_shared(kernel, bytes);
  LAUNCH(kernel, static_cast<unsigned>(at.tiles.num_stripes), tile_threads, bytes, a.stream, a,
         make_layer_table(in), at, packed);
}

}  // namespace pyrec::cuda
