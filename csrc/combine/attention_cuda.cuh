#pragma once
// Additive attention; the formulas are those of attention_cpu.hpp. A block goes through the tiles of its stripe
// with W in shared memory; with dim and hidden of one tile each row is read once, wider ones are staged tile
// after tile. Nothing is kept from one pass to the other but alpha.
#include "combine/normalise_cuda.cuh"

namespace pyrec::cuda {

constexpr int attention_warps = tile_threads / warp;

// Of a row that is there, in an array (num_rows, L) by node and layer.
template <class T>
__device__ __forceinline__ int64_t place_of_row(const row_table<T>& rows, int64_t first_node,
                                                int64_t num_layers, int row) {
  return (first_node + rows.node[row]) * num_layers + rows.layer[row];
}

// acc = r x W^T at hidden columns from `first` on; inverse holds r where rows are normalised.
template <class T, class Args>
__device__ __forceinline__ void project_rows(const Args& a, const layer_table<T>& table,
                                             const row_table<T>& rows, const row_values<T>& inverse,
                                             bool packed, int first, staged_tiles<T>& staged,
                                             results<T>& acc) {
  const int dim = static_cast<int>(a.input.dim), hidden = static_cast<int>(a.attention.hidden);
  for (int column = 0; column < dim; column += tile_columns<T>) {
    staged.want_x(table, rows, column, dim, packed);
    staged.want_parameter(a.attention.weight, hidden, dim, first, column, packed);
    multiply_by_rows(staged.x, staged.parameter, steps_from<T>(column, dim), hidden - first, acc);
  }
  if (a.attention.normalise) scale_rows(inverse, acc);
}

// scores: v . tanh(r x W^T + b) + o of each row, -infinity where it does not take part.
template <class T>
__device__ __forceinline__ void score_rows(const combine_attention_args<T>& a, const layer_table<T>& table,
                                           const row_table<T>& rows, const row_values<T>& inverse,
                                           int64_t first_node, bool packed, staged_tiles<T>& staged,
                                           row_values<T>& scores) {
  constexpr int N = per_thread<T>;
  const int hidden = static_cast<int>(a.attention.hidden);
  T sums[N] = {};
  for (int first = 0; first < hidden; first += tile_columns<T>) {
    T acc[N][N] = {};
    project_rows(a, table, rows, inverse, packed, first, staged, acc);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const int h = first + spread_column(j);
      if (h >= hidden) continue;
      const T bias = a.attention.bias[h], vector = a.attention.vector[h];
#pragma unroll
      for (int i = 0; i < N; ++i) sums[i] += vector * tanh(acc[i][j] + bias);
    }
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    T sum = sum_over_columns(sums[i]);
    const int row = tile_row(i);
    if (spread_column(0) > 0) continue;
    if (a.offset != nullptr && rows.taken[row]) {
      sum += a.offset[place_of_row(rows, first_node, a.input.num_layers, row)];
    }
    scores[row] = rows.taken[row] ? sum : -T(INFINITY);
  }
}

// scores become alpha; all zero for a node without rows.
template <class T>
__device__ __forceinline__ void softmax_rows(int num_layers, int nodes, const row_table<T>& rows,
                                             row_values<T>& scores, row_values<T>& powers) {
  const int row = block_thread();
  const bool mine = row < num_layers * nodes;
  const int node = mine ? rows.node[row] : 0;
  T power = 0;
  if (mine) {
    T most = -T(INFINITY);
    for (int l = 0; l < num_layers; ++l) most = max(most, scores[l * nodes + node]);
    power = rows.taken[row] ? exp(scores[row] - most) : T(0);
    powers[row] = power;
  }
  __syncthreads();
  if (mine) {
    T sum = 0;
    for (int l = 0; l < num_layers; ++l) sum += powers[l * nodes + node];
    scores[row] = sum == T(0) ? T(0) : power / sum;
  }
  __syncthreads();
}

// out = sum_l alpha_l x_l of the tile's nodes.
template <class T>
__device__ __forceinline__ void pool_rows(const combine_attention_args<T>& a, const layer_table<T>& table,
                                          const row_table<T>& rows, int nodes, int64_t first, bool packed,
                                          staged_tiles<T>& staged, const row_values<T>& alpha) {
  constexpr int V = width<T>, packs = tile_columns<T> / V;
  const int dim = static_cast<int>(a.input.dim);
  for (int column = 0; column < dim; column += tile_columns<T>) {
    staged.want_x(table, rows, column, dim, packed);
    for (int i = block_thread(); i < nodes * packs; i += tile_threads) {
      const int node = i / packs;
      if (first + node >= a.input.num_rows) break;
      const int place = i % packs * V;
      pack<T, V> sum{};
      for (int row = node; row < a.input.num_layers * nodes; row += nodes) {
        const pack<T, V> x = load_pack<T, V>(staged.x + row * tile_stride<T> + place);
#pragma unroll
        for (int v = 0; v < V; ++v) sum.values[v] += alpha[row] * x.values[v];
      }
      store_columns(a.out + (first + node) * a.input.dim, column + place, dim, packed, sum);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(tile_threads, 3)
    attention(const __grid_constant__ combine_attention_args<T> a,
              const __grid_constant__ layer_table<T> table, const tile_stripes at, const bool packed) {
  DYNAMIC_SHARED(T, tiles);
  __shared__ row_table<T> rows;
  __shared__ row_values<T> alpha, powers, inverse;
  staged_tiles<T> staged{tiles, tiles + tile_rows<T> * tile_stride<T>};
  const int num_layers = static_cast<int>(a.input.num_layers);
  const tile_range range = tiles_of_block(at.num_tiles);
  for (int64_t tile = range.begin; tile < range.end; ++tile) {
    const int64_t first = tile * at.nodes;
    __syncthreads();
    fill_rows(a.input, table, at.nodes, first, rows);
    staged.x_column = -1;
    if (a.attention.normalise) {
      inverse_lengths(table, rows, static_cast<int>(a.input.dim), packed, staged, inverse);
    }
    score_rows(a, table, rows, inverse, first, packed, staged, alpha);
    __syncthreads();
    softmax_rows(num_layers, at.nodes, rows, alpha, powers);
    const int row = block_thread();
    if (row < tile_rows<T> && rows.layer[row] >= 0) {
      a.alpha[place_of_row(rows, first, num_layers, row)] = alpha[row];
    }
    pool_rows(a, table, rows, at.nodes, first, packed, staged, alpha);
  }
}

template <class T>
void combine_attention(const combine_attention_args<T>& a) {
  const combine_input<T>& in = a.input;
  const auto at =
      make_attention_stripes<T>(in.num_rows, in.num_layers, in.dim, a.attention.hidden, false).tiles;
  if (at.num_tiles == 0) return;
  const bool packed = packs_fit<T>(in, nullptr) && aligned(a.attention.weight) && aligned(a.out);
  const auto kernel = attention<T>;
  allow_shared(kernel, staged_bytes<T>);
  LAUNCH(kernel, static_cast<unsigned>(at.num_stripes), tile_threads, staged_bytes<T>, a.stream, a,
         make_layer_table(in), at, packed);
}

}  // namespace pyrec::cuda
