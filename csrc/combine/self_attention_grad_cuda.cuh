#pragma once
// Backward of self-attention: Q, K, V and each head's weights again, their gradients in lanes, and then the
// products that take these to the parameters and to the rows.
#include "combine/self_attention_cuda.cuh"

namespace pyrec::cuda {

template <class T>
using self_attention_grad_block = self_attention_block<T, combine_self_attention_grad_args<T>>;

// grad: da of each row as a key of the head; its lanes of V become dV = a g.
template <class T>
__device__ __forceinline__ void head_value_grads(const self_attention_grad_block<T>& b, int first) {
  const int row = block_thread();
  const int layer = b.tile.rows.layer[row];
  const int64_t node = b.first_node + b.tile.rows.node[row];
  T dot = 0;
  if (layer >= 0) {
    const T* grad = b.a.grad + node * b.a.input.dim + first;
    T* value = b.column(value_lanes, first) + row;
    for (int c = 0; c < b.head_dim(); ++c) {
      const T g = grad[c];
      dot += g * value[c * tile_rows<T>];
      value[c * tile_rows<T>] = b.tile.mean[row] * g;
    }
    if (b.a.grad_of_alpha != nullptr) {
      dot += b.a.grad_of_alpha[node * b.num_layers() + layer] / static_cast<T>(b.a.attention.num_heads);
    }
  }
  b.tile.grad[row] = dot;
}

// weights: (L keys, rows) become dS / sqrt(d_h). A thread takes a row.
template <class T>
__device__ __forceinline__ void head_score_grads(const self_attention_grad_block<T>& b) {
  const int row = block_thread();
  const T* grad = b.tile.grad + b.tile.rows.node[row];
  const T factor = b.tile.share[row] / sqrt(static_cast<T>(b.head_dim()));
  T mean = 0;
  for (int k = 0; k < b.num_layers(); ++k) mean += b.weights[k * tile_rows<T> + row] * grad[k * b.at.nodes];
  for (int k = 0; k < b.num_layers(); ++k) {
    T& weight = b.weights[k * tile_rows<T> + row];
    weight *= factor * (grad[k * b.at.nodes] - mean);
  }
}

// dQ_q = sum_k dS_qk K_k and dK_k = sum_q dS_qk Q_q at the head's columns.
template <class T>
__device__ __forceinline__ void head_lane_grads(const self_attention_grad_block<T>& b, int first) {
  for (int i = block_thread(); i < b.head_dim() * tile_rows<T>; i += tile_threads) {
    const int row = i % tile_rows<T>, column = first + i / tile_rows<T>;
    const int layer = b.tile.rows.layer[row];
    const T* query = b.column(query_lanes, column);
    const T* key = b.column(key_lanes, column);
    T by_query = 0, by_key = 0;
    for (int l = 0; layer >= 0 && l < b.num_layers(); ++l) {
      const int other = l * b.at.nodes + b.tile.rows.node[row];
      by_query += b.weights[l * tile_rows<T> + row] * key[other];
      by_key += b.weights[layer * tile_rows<T> + other] * query[other];
    }
    b.column(grad_query_lanes, column)[row] = by_query;
    b.column(grad_key_lanes, column)[row] = by_key;
  }
}

template <class T>
__device__ __forceinline__ void head_grads(const self_attention_grad_block<T>& b, int first) {
  const bool has_row = block_thread() < tile_rows<T>;
  head_weights(b, first);
  if (has_row) head_mean(b);
  if (has_row) head_value_grads(b, first);  // reads what this thread wrote
  __syncthreads();
  if (has_row) head_score_grads(b);
  __syncthreads();
  head_lane_grads(b, first);
  __syncthreads();
}

// to: (rows, columns) of lanes [column, column + tile_columns), zero past dim.
template <class T>
__device__ __forceinline__ void stage_lanes(const self_attention_grad_block<T>& b, int which, int column,
                                            T* to) {
  __syncthreads();
  for (int i = block_thread(); i < tile_rows<T> * tile_columns<T>; i += tile_threads) {
    const int row = i % tile_rows<T>, c = i / tile_rows<T>;
    to[row * tile_stride<T> + c] = column + c < b.dim() ? b.column(which, column + c)[row] : T(0);
  }
  __syncthreads();
}

template <class T>
__device__ __forceinline__ void write_grads(const self_attention_grad_block<T>& b, const grad_table<T>& grads,
                                            int first, const results<T>& acc) {
#pragma unroll
  for (int i = 0; i < per_thread<T>; ++i) {
    const int row = tile_row(i), layer = b.tile.rows.layer[row];
    if (layer < 0) continue;
    T* to = grads.layers[layer] + (b.first_node + b.tile.rows.node[row]) * b.a.input.dim;
#pragma unroll
    for (int j = 0; j < per_thread<T>; ++j) {
      const int column = first + spread_column(j);
      if (column < b.dim()) to[column] = acc[i][j];
    }
  }
}

// For dP of Q, K and V: the stripe's dW += X^T dP, and dx = the sum of dP W^T.
template <class T>
__device__ __forceinline__ void projection_grads(const self_attention_grad_block<T>& b,
                                                 const layer_table<T>& table, const grad_table<T>& grads,
                                                 bool packed, bool first_tile, T* lanes_tile, T* sums,
                                                 staged_tiles<T>& staged) {
  constexpr int C = tile_columns<T>;
  const int dim = b.dim();
  for (int first = 0; first < dim; first += C) {
    T acc[per_thread<T>][per_thread<T>] = {};
#pragma unroll 1
    for (int i = 0; i < 3 * b.at.dim; i += C) {
      const int which = i / b.at.dim, column = i % b.at.dim;
      stage_lanes(b, which == value_lanes ? which : which + grad_query_lanes, column, lanes_tile);
      if (b.a.grad_query != nullptr) {
        staged.want_x(table, b.tile.rows, first, dim, packed);
        T* sum = sums + (int64_t{which} * b.at.dim + first) * b.at.dim + column;
        add_transposed_product(staged.x, lanes_tile, first_tile, tile_columns<T>, sum, b.at.dim);
      }
      if (b.a.grad_layers == nullptr) continue;
      staged.want_parameter(b.parameter(which), dim, dim, first, column, packed);
      multiply_by_rows(lanes_tile, staged.parameter, steps_from<T>(column, dim), tile_columns<T>, acc);
    }
    if (b.a.grad_layers != nullptr) write_grads(b, grads, first, acc);
  }
}

// Of the shared memory for a tile of lanes and, before, the weights of a head.
template <class T>
__host__ __device__ constexpr int64_t lanes_numbers(int64_t num_layers) {
  constexpr int64_t tile = tile_rows<T> * tile_stride<T>;
  const int64_t weights = num_layers * tile_rows<T>;
  return tile > weights ? tile : weights;
}

template <class T>
__global__ void __launch_bounds__(tile_threads, 2)
    self_attention_grad(const __grid_constant__ combine_self_attention_grad_args<T> a,
                        const __grid_constant__ layer_table<T> table,
                        const __grid_constant__ grad_table<T> grads, const self_attention_stripes stripes,
                        const bool packed) {
  DYNAMIC_SHARED(T, tiles);
  __shared__ self_attention_rows<T> tile;
  T* lanes_tile = tiles + tile_rows<T> * tile_stride<T>;
  staged_tiles<T> staged{tiles, lanes_tile + lanes_numbers<T>(a.input.num_layers)};
  T* stripe = a.scratch + blockIdx.x * stripes.tiles.stripe;
  T* weights = lanes_tile;  // the heads are done before it is staged
  self_attention_grad_block<T> b{a, stripes.tiles, tile, weights, stripe + stripes.lanes, 0};
  const tile_range range = tiles_of_block(b.at.num_tiles);
  for (int64_t t = range.begin; t < range.end; ++t) {
    b.first_node = t * b.at.nodes;
    __syncthreads();
    fill_rows(a.input, table, b.at.nodes, b.first_node, tile.rows);
    staged.x_column = -1;
    project_lanes(b, table, packed, staged);
    fill_shares(b);
    for (int first = 0; first < b.dim(); first += b.head_dim()) head_grads(b, first);
    projection_grads(b, table, grads, packed, t == range.begin, lanes_tile, stripe + stripes.grads, staged);
  }
}

template <class T>
void combine_self_attention_grad(const combine_self_attention_grad_args<T>& a) {
  const combine_input<T>& in = a.input;
  const auto at = make_self_attention_stripes<T>(in.num_rows, in.num_layers, in.dim, true);
  if (at.tiles.num_tiles > 0) {
    const bool packed = packs_fit(in, a.grad_layers) && aligned(a.attention.query) &&
                        aligned(a.attention.key) && aligned(a.attention.value);
    const auto kernel = self_attention_grad<T>;
    const size_t bytes = staged_bytes<T> + static_cast<size_t>(lanes_numbers<T>(in.num_layers)) * sizeof(T);
    allow_shared(kernel, bytes);
    LAUNCH(kernel, static_cast<unsigned>(at.tiles.num_stripes), tile_threads, bytes, a.stream, a,
           make_layer_table(in), make_grad_table(a.grad_layers, in.num_layers), at, packed);
  }
  if (a.grad_query == nullptr) return;
  const int64_t square = int64_t{at.tiles.dim} * at.tiles.dim;
  const stripe_sums<T, T, 3> sums{
      .numbers = a.scratch,
      .stripe = at.tiles.stripe,
      .num_stripes = at.tiles.num_stripes,
      .parts = {{at.grads, at.tiles.dim, in.dim, in.dim, a.grad_query},
                {at.grads + square, at.tiles.dim, in.dim, in.dim, a.grad_key},
                {at.grads + 2 * square, at.tiles.dim, in.dim, in.dim, a.grad_value}}};
  launch_add_stripes(sums, a.stream);
}

}  // namespace pyrec::cuda
