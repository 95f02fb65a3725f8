#pragma once
// How the CUDA kernels cut their work: nodes into tiles, tiles into slots. A block takes a slot, sums the
// parameters' gradients of its tiles in sequence into the slot's part of the scratch, and a second kernel
// adds the slots in order. The binding takes the sizes from here and the kernels the places; neither depends
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

constexpr int64_t max_forward_slots = 2048;
constexpr int64_t max_slots = 256;
constexpr int64_t max_slot_numbers = int64_t{1} << 25;  // of all slots together
constexpr int64_t max_weighted_slots = 1024;
constexpr int64_t weighted_slot_rows = 64;  // at the least

constexpr int64_t weighted_slots(int64_t num_rows) {
  return std::min(ceil_div(num_rows, weighted_slot_rows), max_weighted_slots);
}

// B nodes a tile: row l * B + n of a tile is row l of its node n.
struct tile_slots {
  int64_t num_tiles;
  int64_t num_slots;
  int64_t slot;  // numbers of each
  int nodes;     // B
  int dim;       // padded to whole tiles

  constexpr int64_t size() const { return num_slots * slot; }
};

template <class T>
constexpr tile_slots make_tile_slots(int64_t num_rows, int64_t num_layers, int64_t dim, int64_t slot,
                                     int64_t most_slots) {
  const int64_t nodes = tile_rows<T> / num_layers;
  const int64_t num_tiles = ceil_div(num_rows, nodes);
  const int64_t fitting = slot > 0 ? std::max<int64_t>(max_slot_numbers / slot, 1) : most_slots;
  return {.num_tiles = num_tiles,
          .num_slots = std::min({num_tiles, most_slots, fitting}),
          .slot = slot,
          .nodes = static_cast<int>(nodes),
          .dim = static_cast<int>(rounded_up(dim, tile_columns<T>))};
}

struct attention_slots {
  tile_slots tiles;
  int64_t grad_weight, grad_bias, grad_vector;  // in a slot: (hidden, dim), (hidden,), (hidden,), all padded
};

template <class T>
constexpr attention_slots make_attention_slots(int64_t num_rows, int64_t num_layers, int64_t dim,
                                               int64_t hidden, bool backward) {
  const int64_t rows = rounded_up(hidden, tile_columns<T>);
  const int64_t weight = rows * rounded_up(dim, tile_columns<T>);
  const int64_t slot = backward ? weight + 2 * rows : 0;
  return {
      .tiles = make_tile_slots<T>(num_rows, num_layers, dim, slot, backward ? max_slots : max_forward_slots),
      .grad_weight = 0,
      .grad_bias = weight,
      .grad_vector = weight + rows};
}

// Lanes of a slot: (dim, tile_rows), a column of Q, K, V, dQ or dK each; dV takes the place of V.
struct self_attention_slots {
  tile_slots tiles;
  int64_t grads;  // in a slot, backward: dW_q, dW_k, dW_v, (dim, dim) each, padded
  int64_t lanes;
};

template <class T>
constexpr self_attention_slots make_self_attention_slots(int64_t num_rows, int64_t num_layers, int64_t dim,
                                                         bool backward) {
  const int64_t columns = rounded_up(dim, tile_columns<T>);
  const int64_t grads = backward ? 3 * columns * columns : 0;
  const int64_t slot = grads + (backward ? 5 : 3) * columns * tile_rows<T>;
  return {
      .tiles = make_tile_slots<T>(num_rows, num_layers, dim, slot, max_slots), .grads = 0, .lanes = grads};
}

}  // namespace pyrec::cuda
