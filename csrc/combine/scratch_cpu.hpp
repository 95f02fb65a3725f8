#pragma once
// Where the parts of a combine's scratch lie, as offsets in elements: [shared][slots][workers]. The binding
// takes the size from here and the kernels the places. Rows are padded to whole vectors of every instruction
// set.
#include <cstdint>

#include "common/rounding.hpp"

namespace pyrec {

constexpr int64_t combine_padding = 16;
constexpr int64_t max_combine_slots = 64;

constexpr PYREC_INLINE int64_t padded(int64_t count) { return rounded_up(count, combine_padding); }

// Nodes in a block: 16 to 64, so that a block has 64 rows or more to multiply at a time.
constexpr PYREC_INLINE int64_t block_nodes(int64_t num_layers) {
  return num_layers >= 4 ? 16 : num_layers >= 2 ? 32 : 64;
}

// Slots that sum the gradients of the parameters: by the number of rows alone, never that of threads.
constexpr PYREC_INLINE int64_t combine_slots(int64_t num_rows, int64_t num_layers) {
  const int64_t blocks = ceil_div(num_rows, block_nodes(num_layers));
  return blocks < max_combine_slots ? blocks : max_combine_slots;
}

// Hands out consecutive places.
struct place_counter {
  int64_t used = 0;
  constexpr PYREC_INLINE int64_t take(int64_t count) {
    const int64_t place = used;
    used += padded(count);
    return place;
  }
};

// What a scratch of parts holds in all.
struct scratch_parts {
  int64_t shared;
  int64_t num_slots;
  int64_t slot;
  int64_t worker;

  PYREC_INLINE int64_t size(int64_t num_workers) const {
    return shared + num_slots * slot + num_workers * worker;
  }
  PYREC_INLINE int64_t slot_at(int64_t s) const { return shared + s * slot; }
  PYREC_INLINE int64_t worker_at(int64_t w) const { return shared + num_slots * slot + w * worker; }
};

// B nodes a block, P = L * B rows a block: row l * B + n is row l of node n.
struct attention_layout {
  scratch_parts parts;
  int64_t nodes;   // B
  int64_t rows;    // P
  int64_t dim;     // padded
  int64_t hidden;  // padded

  int64_t weight, weight_t, bias, vector;       // shared: (hidden, dim), (dim, hidden), (hidden,), (hidden,)
  int64_t grad_weight, grad_bias, grad_vector;  // slot: (hidden, dim), (hidden,), (hidden,)
  int64_t x, projected, scores, mask;           // worker: (P, dim), (P, hidden), (L, B), (L, B)
  int64_t inverse;                              // worker: (P,) 1 / ||x||
  int64_t alpha;                                // worker, backward: (L, B)
  int64_t pooled, grad_x;                       // worker: (B, dim) E or its gradient, (P, dim) backward
};

PYREC_INLINE attention_layout make_attention_layout(int64_t num_rows, int64_t num_layers, int64_t dim,
                                                    int64_t hidden, bool backward) {
  attention_layout at{};
  at.nodes = block_nodes(num_layers);
  at.rows = num_layers * at.nodes;
  at.dim = padded(dim);
  at.hidden = padded(hidden);
  place_counter shared;
  at.weight_t = shared.take(dim * at.hidden);
  at.bias = shared.take(at.hidden);
  at.vector = shared.take(at.hidden);
  place_counter worker;
  at.x = worker.take(at.rows * at.dim);
  at.projected = worker.take(at.rows * at.hidden);
  at.scores = worker.take(at.rows);
  at.mask = worker.take(at.rows);
  at.inverse = worker.take(at.rows);
  at.pooled = worker.take(at.nodes * at.dim);
  place_counter slot;
  if (backward) {
    at.weight = shared.take(hidden * at.dim);
    at.grad_weight = slot.take(hidden * at.dim);
    at.grad_bias = slot.take(at.hidden);
    at.grad_vector = slot.take(at.hidden);
    at.grad_x = worker.take(at.rows * at.dim);
    at.alpha = worker.take(at.rows);
  }
  at.parts = {shared.used, backward ? combine_slots(num_rows, num_layers) : 0, slot.used, worker.used};
  return at;
}

struct self_attention_layout {
  scratch_parts parts;
  int64_t nodes;  // B
  int64_t rows;   // P
  int64_t dim;    // padded

  int64_t query_t, key_t, value_t;                 // shared: (dim, dim) each, transposed
  int64_t grad_query_t, grad_key_t, grad_value_t;  // slot: (dim, dim) each, transposed
  int64_t x, x_t, query, key;                      // worker: (P, dim), (dim, P), (dim, P), (dim, P)
  int64_t weights, mean, mask, share;              // worker: (L, L, B), (L, B), (L, B), (B,)
  int64_t pooled_t, out_t, alpha;                  // worker, forward: (dim, B), (dim, B), (L, B)
  int64_t grad, pooled, grad_pooled;               // worker, backward: (B, dim) each
  int64_t grad_mean, grad_x, grad_key;             // worker, backward: (L, B), (P, dim), (dim, P)
};

PYREC_INLINE self_attention_layout make_self_attention_layout(int64_t num_rows, int64_t num_layers,
                                                              int64_t dim, bool backward) {
  self_attention_layout at{};
  at.nodes = block_nodes(num_layers);
  at.rows = num_layers * at.nodes;
  at.dim = padded(dim);
  place_counter shared;
  place_counter slot;
  place_counter worker;
  at.x = worker.take(at.rows * at.dim);
  at.x_t = worker.take(at.dim * at.rows);
  at.query = worker.take(dim * at.rows);
  at.key = worker.take(dim * at.rows);
  at.weights = worker.take(num_layers * at.rows);
  at.mean = worker.take(at.rows);
  at.mask = worker.take(at.rows);
  at.share = worker.take(at.nodes);
  if (backward) {
    at.query_t = shared.take(dim * at.dim);
    at.key_t = shared.take(dim * at.dim);
    at.value_t = shared.take(dim * at.dim);
    at.grad_query_t = slot.take(dim * at.dim);
    at.grad_key_t = slot.take(dim * at.dim);
    at.grad_value_t = slot.take(dim * at.dim);
    at.grad = worker.take(at.nodes * at.dim);
    at.pooled = worker.take(at.nodes * at.dim);
    at.grad_pooled = worker.take(at.nodes * at.dim);
    at.grad_mean = worker.take(at.rows);
    at.grad_x = worker.take(at.rows * at.dim);
    at.grad_key = worker.take(dim * at.rows);
  } else {
    at.pooled_t = worker.take(at.dim * at.nodes);
    at.out_t = worker.take(at.dim * at.nodes);
    at.alpha = worker.take(at.rows);
  }
  at.parts = {shared.used, backward ? combine_slots(num_rows, num_layers) : 0, slot.used, worker.used};
  return at;
}

}  // namespace pyrec
