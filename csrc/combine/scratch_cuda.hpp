#pragma once
// How the CUDA kernels cut their work: nodes into tiles, tiles into stripes. A block takes a stripe, sums the
// parameters' gradients of its tiles in sequence into the stripe's part of the scratch, and a second kernel
// adds the stripes in order. The binding takes the sizes from here and the kernels the places; neither depends
// on the device, so that sums have the same bits on each.
#include <algorithm>
#include <cstdint>

#include "common/rounding.hpp"

namespace pyrec::cuda {

// A tile's 16 x 8 threads compute N x N results each; its rows are read 16 bytes at a time.
constexpr int thread_rows = 16;
constexpr int thread_columns = 8;
constexpr int tile_threads = thread_rows * thread_columns;
template <class T>
constexpr int width = 16 / sizeof(T);
template <class T>
constexpr int per_thread = sizeof(T) == 4 ? 8 : 4;  // N
template <class T>
constexpr int tile_rows = thread_rows * per_thread<T>;
template <class T>
constexpr int tile_columns = thread_columns * per_thread<T>;
template <class T>
constexpr int tile_stride =
    tile_columns<T> + width<T>;  // from row to row in shared memory, clear of its banks

constexpr int64_t max_forward_stripes = 2048;
constexpr int64_t max_stripes = 256;
constexpr int64_t max_stripe_numbers = int64_t{1} << 25;  // of all stripes together
constexpr int64_t max_weighted_stripes = 1024;
constexpr int64_t weighted_stripe_rows = 64;  // at the least

constexpr int64_t weighted_stripes(int64_t num_rows) {
  return std::min(ceil_div(num_rows, weighted_stripe_rows), max_weighted_stripes);
}

// B nodes a tile: row l * B + n of a tile is row l of its node n.
struct tile_stripes {
  int64_t num_tiles;
  int64_t num_stripes;
  int64_t stripe;  // numbers of each
  int nodes;       // B
  int dim;         // padded to whole tiles

  constexpr int64_t size() const { return num_stripes * stripe; }
};

template <class T>
constexpr tile_stripes make_tile_stripes(int64_t num_rows, int64_t num_layers, int64_t dim, int64_t stripe,
                                         int64_t most_stripes) {
  const int64_t nodes = tile_rows<T> / num_layers;
  const int64_t num_tiles = ceil_div(num_rows, nodes);
  const int64_t fitting = stripe > 0 ? std::max<int64_t>(max_stripe_numbers / stripe, 1) : most_stripes;
  return {.num_tiles = num_tiles,
          .num_stripes = std::min({num_tiles, most_stripes, fitting}),
          .stripe = stripe,
          .nodes = static_cast<int>(nodes),
          .dim = static_cast<int>(rounded_up(dim, tile_columns<T>))};
}

struct attention_stripes {
  tile_stripes tiles;
  int64_t grad_weight, grad_bias,
      grad_vector;  // in a stripe: (hidden, dim), (hidden,), (hidden,), all padded
};

template <class T>
constexpr attention_stripes make_attention_stripes(int64_t num_rows, int64_t num_layers, int64_t dim,
                                                   int64_t hidden, bool backward) {
  const int64_t rows = rounded_up(hidden, tile_columns<T>);
  const int64_t weight = rows * rounded_up(dim, tile_columns<T>);
  const int64_t stripe = backward ? weight + 2 * rows : 0;
  return {.tiles = make_tile_stripes<T>(num_rows, num_layers, dim, stripe,
                                        backward ? max_stripes : max_forward_stripes),
          .grad_weight = 0,
          .grad_bias = weight,
          .grad_vector = weight + rows};
}

// Lanes of a stripe: (dim, tile_rows), a column of Q, K, V, dQ or dK each; dV takes the place of V.
struct self_attention_stripes {
  tile_stripes tiles;
  int64_t grads;  // in a stripe, backward: dW_q, dW_k, dW_v, (dim, dim) each, padded
  int64_t lanes;
};

template <class T>
constexpr self_attention_stripes make_self_attention_stripes(int64_t num_rows, int64_t num_layers,
                                                             int64_t dim, bool backward) {
  const int64_t columns = rounded_up(dim, tile_columns<T>);
  const int64_t grads = backward ? 3 * columns * columns : 0;
  const int64_t stripe = grads + (backward ? 5 : 3) * columns * tile_rows<T>;
  return {.tiles = make_tile_stripes<T>(num_rows, num_layers, dim, stripe, max_stripes),
          .grads = 0,
          .lanes = grads};
}

}  // namespace pyrec::cuda
