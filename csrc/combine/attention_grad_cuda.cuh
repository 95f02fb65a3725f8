#pragma once
// Backward of additive attention: everything of a tile again from its rows and alpha.
#include "combine/attention_cuda.cuh"

namespace pyrec::cuda {

// In shared memory besides the tiles.
template <class T>
struct attention_grad_rows {
  row_table<T> rows;
  row_values<T> alpha;
  row_values<T> grad_alpha;                     // dalpha
  row_values<T> grad_scores;                    // ds
  row_values<T> inverse;                        // r, where rows are normalised, and so the next
  row_values<T> along;                          // r^2 <x, y> of the hidden columns in hand, y = r z W
  T sums[2][attention_warps][tile_columns<T>];  // db and dv of each warp's rows
};

// dalpha_l = <g, x_l> and what comes from alpha itself.
template <class T>
__device__ __forceinline__ void attention_alpha_grads(const combine_attention_grad_args<T>& a,
                                                      const layer_table<T>& table, int64_t first, bool packed,
                                                      staged_tiles<T>& staged, attention_grad_rows<T>& tile) {
  constexpr int N = per_thread<T>, V = width<T>;
  const int dim = static_cast<int>(a.input.dim);
  T dots[N] = {};
  for (int column = 0; column < dim; column += tile_columns<T>) {
    staged.want_x(table, tile.rows, column, dim, packed);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const int row = tile_row(i);
      if (tile.rows.layer[row] < 0) continue;
      const T* grad = a.grad + (first + tile.rows.node[row]) * a.input.dim;
#pragma unroll
      for (int group = 0; group < N / V; ++group) {
        const int place = packed_column<T>(group);
        const pack<T, V> g = load_columns(grad, column + place, dim, packed);
        const pack<T, V> x = load_pack<T, V>(staged.x + row * tile_stride<T> + place);
#pragma unroll
        for (int v = 0; v < V; ++v) dots[i] += g.values[v] * x.values[v];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int row = tile_row(i);
    T dot = sum_over_columns(dots[i]);
    if (spread_column(0) > 0 || tile.rows.layer[row] < 0) continue;
    const int64_t place = place_of_row(tile.rows, first, a.input.num_layers, row);
    if (a.grad_of_alpha != nullptr) dot += a.grad_of_alpha[place];
    tile.grad_alpha[row] = dot;
    tile.alpha[row] = a.alpha[place];
  }
}

// ds_l = alpha_l (dalpha_l - sum_m alpha_m dalpha_m), 0 where there is no row.
template <class T>
__device__ __forceinline__ void attention_score_grads(const combine_attention_grad_args<T>& a, int64_t first,
                                                      int nodes, attention_grad_rows<T>& tile) {
  const int num_layers = static_cast<int>(a.input.num_layers);
  const int row = block_thread();
  if (row >= tile_rows<T>) return;
  T grad = 0;
  if (tile.rows.layer[row] >= 0) {
    T mean = 0;
    for (int m = tile.rows.node[row]; m < num_layers * nodes; m += nodes) {
      mean += tile.alpha[m] * tile.grad_alpha[m];
    }
    grad = tile.alpha[row] * (tile.grad_alpha[row] - mean);
    if (a.grad_offset != nullptr) a.grad_offset[place_of_row(tile.rows, first, num_layers, row)] = grad;
  }
  tile.grad_scores[row] = grad;
}

// z: (rows, hidden columns from `first` on) of the tile = ds v (1 - t^2), from acc = x W^T; db and dv of the
// tile's rows.
template <class T>
__device__ __forceinline__ void attention_hidden_grads(const combine_attention_grad_args<T>& a, int first,
                                                       const results<T>& acc, attention_grad_rows<T>& tile,
                                                       T* z) {
  constexpr int N = per_thread<T>;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    if (!among_columns(j, static_cast<int>(a.attention.hidden) - first)) continue;
    const int column = spread_column(j);
    const bool inside = first + column < a.attention.hidden;
    const T bias = inside ? a.attention.bias[first + column] : T(0);
    const T vector = inside ? a.attention.vector[first + column] : T(0);
    T grad_bias = 0, grad_vector = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const int row = tile_row(i);
      const T grad = tile.grad_scores[row];
      const T t = tanh(acc[i][j] + bias);
      const T grad_hidden = grad * vector * (1 - t * t);
      grad_vector += grad * t;
      grad_bias += grad_hidden;
      z[row * tile_stride<T> + column] = grad_hidden;
    }
    grad_bias = sum_over_rows(grad_bias);
    grad_vector = sum_over_rows(grad_vector);
    if (block_thread() % warp >= thread_columns) continue;
    tile.sums[0][block_thread() / warp][column] = grad_bias;
    tile.sums[1][block_thread() / warp][column] = grad_vector;
  }
}

// The stripe's db and dv grow by the warps' sums.
template <class T>
__device__ __forceinline__ void add_hidden_sums(const attention_stripes& at, int first, bool first_tile,
                                                const attention_grad_rows<T>& tile, T* stripe) {
  for (int i = block_thread(); i < 2 * tile_columns<T>; i += tile_threads) {
    const int column = i % tile_columns<T>;
    T* to = stripe + (i < tile_columns<T> ? at.grad_bias : at.grad_vector) + first + column;
    T sum = first_tile ? T(0) : *to;
    for (int w = 0; w < attention_warps; ++w) sum += tile.sums[i / tile_columns<T>][w][column];
    *to = sum;
  }
}

// dx = alpha g + z W at columns from `column` on: the first hidden columns bring alpha g, the others add.
// Where rows are normalised, x holds them, and each hidden columns' part of z W loses what lies along x.
template <class T>
__device__ __forceinline__ void write_layer_grads(const combine_attention_grad_args<T>& a,
                                                  const grad_table<T>& grads, int64_t first_node, int column,
                                                  bool first, bool packed, const T* x, const results<T>& acc,
                                                  const attention_grad_rows<T>& tile) {
  constexpr int N = per_thread<T>, V = width<T>;
  const int dim = static_cast<int>(a.input.dim);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int row = tile_row(i);
    const int layer = tile.rows.layer[row];
    if (layer < 0) continue;
    const int64_t offset = (first_node + tile.rows.node[row]) * a.input.dim;
    T* to = grads.layers[layer] + offset;
    const T alpha = first ? tile.alpha[row] : T(1);
#pragma unroll
    for (int group = 0; group < N / V; ++group) {
      const int place = column + packed_column<T>(group);
      pack<T, V> values = load_columns(first ? a.grad + offset : to, place, dim, packed);
#pragma unroll
      for (int v = 0; v < V; ++v) values.values[v] = alpha * values.values[v] + acc[i][group * V + v];
      if (a.attention.normalise) {
        const pack<T, V> row_of_x = load_pack<T, V>(x + row * tile_stride<T> + packed_column<T>(group));
#pragma unroll
        for (int v = 0; v < V; ++v) values.values[v] -= tile.along[row] * row_of_x.values[v];
      }
      store_columns(to, place, dim, packed, values);
    }
  }
}

// What z, at hidden columns from `first` on, adds to dW and to the layers' gradients.
template <class T>
__device__ __forceinline__ void attention_products(const combine_attention_grad_args<T>& a,
                                                   const layer_table<T>& table, const grad_table<T>& grads,
                                                   const attention_stripes& at, int64_t first_node, int first,
                                                   bool first_tile, bool packed, const T* z,
                                                   staged_tiles<T>& staged,
                                                   const attention_grad_rows<T>& tile, T* stripe) {
  const int dim = static_cast<int>(a.input.dim), hidden = static_cast<int>(a.attention.hidden);
  for (int column = 0; column < dim; column += tile_columns<T>) {
    if (a.grad_weight != nullptr || a.attention.normalise)
      staged.want_x(table, tile.rows, column, dim, packed);
    if (a.grad_weight != nullptr) {
      T* sum = stripe + at.grad_weight + int64_t{first} * at.tiles.dim + column;
      add_transposed_product(z, staged.x, first_tile, hidden - first, sum, at.tiles.dim);
    }
    if (a.grad_layers == nullptr) continue;
    staged.want_parameter(a.attention.weight, hidden, dim, first, column, packed);
    T acc[per_thread<T>][per_thread<T>] = {};
    multiply_by_columns(z, staged.parameter, steps_from<T>(first, hidden), acc);
    write_layer_grads(a, grads, first_node, column, first == 0, packed, staged.x, acc, tile);
  }
}

template <class T>
__global__ void __launch_bounds__(tile_threads, 2)
    attention_grad(const __grid_constant__ combine_attention_grad_args<T> a,
                   const __grid_constant__ layer_table<T> table, const __grid_constant__ grad_table<T> grads,
                   const attention_stripes at, const bool packed) {
  DYNAMIC_SHARED(T, tiles);
  __shared__ attention_grad_rows<T> tile;
  T* z = tiles + tile_rows<T> * tile_stride<T>;
  staged_tiles<T> staged{tiles, z + tile_rows<T> * tile_stride<T>};
  T* stripe = a.scratch + blockIdx.x * at.tiles.stripe;
  const int nodes = at.tiles.nodes;
  const tile_range range = tiles_of_block(at.tiles.num_tiles);
  for (int64_t t = range.begin; t < range.end; ++t) {
    const int64_t first_node = t * nodes;
    __syncthreads();
    fill_rows(a.input, table, nodes, first_node, tile.rows);
    staged.x_column = -1;
    attention_alpha_grads(a, table, first_node, packed, staged, tile);
    __syncthreads();
    attention_score_grads(a, first_node, nodes, tile);
    __syncthreads();
    if (a.grad_weight == nullptr && a.grad_layers == nullptr) continue;
    if (a.attention.normalise) {
      inverse_lengths(table, tile.rows, static_cast<int>(a.input.dim), packed, staged, tile.inverse);
    }
    for (int first = 0; first < a.attention.hidden; first += tile_columns<T>) {
      T acc[per_thread<T>][per_thread<T>] = {};
      project_rows(a, table, tile.rows, tile.inverse, packed, first, staged, acc);
      attention_hidden_grads(a, first, acc, tile, z);
      if (a.attention.normalise) {
        scale_hidden_grads(tile.inverse, static_cast<int>(a.attention.hidden) - first, acc, z, tile.along);
      }
      __syncthreads();
      if (a.grad_weight != nullptr) add_hidden_sums(at, first, t == range.begin, tile, stripe);
      attention_products(a, table, grads, at, first_node, first, t == range.begin, packed, z, staged, tile,
                         stripe);
    }
  }
}

template <class T>
constexpr size_t staged_grad_bytes = staged_bytes<T> + tile_rows<T> * tile_stride<T> * sizeof(T);

template <class T>
void combine_attention_grad(const combine_attention_grad_args<T>& a) {
  const combine_input<T>& in = a.input;
  const auto at = make_attention_stripes<T>(in.num_rows, in.num_layers, in.dim, a.attention.hidden, true);
  if (at.tiles.num_tiles > 0) {
    const bool packed = packs_fit(in, a.grad_layers) && aligned(a.attention.weight) && aligned(a.grad);
    const auto kernel = attention_grad<T>;
    allow_shared(kernel, staged_grad_bytes<T>);
    LAUNCH(kernel, static_cast<unsigned>(at.tiles.num_stripes), tile_threads, staged_grad_bytes<T>, a.stream,
           a, make_layer_table(in), make_grad_table(a.grad_layers, in.num_layers), at, packed);
  }
  if (a.grad_weight == nullptr) return;
  const stripe_sums<T, T, 3> sums{
      .numbers = a.scratch,
      .stripe = at.tiles.stripe,
      .num_stripes = at.tiles.num_stripes,
      .parts = {{at.grad_weight, at.tiles.dim, a.attention.hidden, in.dim, a.grad_weight},
                {at.grad_bias, 0, 1, a.attention.hidden, a.grad_bias},
                {at.grad_vector, 0, 1, a.attention.hidden, a.grad_vector}}};
  launch_add_stripes(sums, a.stream);
}

}  // namespace pyrec::cuda
