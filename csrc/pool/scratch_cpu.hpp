#pragma once
// Scratch of pool on the CPU, in the regions of combine/scratch_cpu.hpp: [shared][stripes][workers].
#include <cstdint>

#include "combine/scratch_cpu.hpp"
#include "pool/pool.hpp"

namespace pyrec {

constexpr int64_t pool_block_rows = 96;   // multiplied at a time
constexpr int64_t pool_chunk_rows = 384;  // or slots, taken by a thread at a time
constexpr int64_t max_pool_stripes = 32;

// A chunk has the segments that begin in it, so that there is one for the slot behind the last.
constexpr PYREC_INLINE int64_t chunks_of_slots(int64_t num_slots) { return num_slots / pool_chunk_rows + 1; }
constexpr PYREC_INLINE int64_t chunks_of_rows(int64_t num_rows) {
  return ceil_div(num_rows, pool_chunk_rows);
}

template <class T>
struct pool_scratch {
  int64_t rows = pool_block_rows;  // in the block at hand
  int64_t dim;                     // padded
  int64_t hidden;                  // padded
  int64_t heads;                   // padded
  int64_t score_stride;            // from row to row of scores: 1 with one head, else heads
  int64_t num_chunks;              // of the backward pass
  scratch_regions regions;

  // Shared: the parameters; `hidden` of vector is `dim` without W.
  T* weight_t;  // (dim, hidden)
  T* bias;      // (hidden,)
  T* vector;    // (heads, hidden)
  T* vector_t;  // (hidden, heads)
  T* weight;    // (hidden, dim), backward
  // Shared, backward: the slots by rows, where there is an index.
  int32_t* segment;  // (num_slots,) that a slot is in
  int32_t* start;    // (num_rows + 1,)
  int32_t* slots;    // (num_slots,)
  // Of a stripe, backward: sums.
  T* grad_weight;  // (hidden, dim)
  T* grad_bias;    // (hidden,)
  T* grad_vector;  // (heads, hidden)
  // Of a worker.
  T* x;            // (rows, dim)
  T* projected;    // (rows, hidden)
  T* scores;       // (rows, score_stride), or their gradients
  T* pooled;       // (heads, dim), or its gradient
  T* grad_t;       // (dim, heads), backward
  T* grad_alpha;   // (rows, heads), backward
  T* grad_hidden;  // (rows, hidden), backward
  T* grad_x;       // (rows, dim), backward

  PYREC_INLINE pool_scratch(const pool_input<T>& input, bool backward)
      : dim(padded(input.dim)),
        hidden(padded(input.attention.hidden)),
        heads(padded(input.attention.heads)),
        score_stride(input.attention.heads == 1 ? 1 : heads),
        num_chunks(input.index == nullptr ? chunks_of_slots(input.num_slots)
                                          : chunks_of_rows(input.num_rows)) {
    regions = place(input, backward, nullptr, nullptr, nullptr);
    const int64_t most = num_chunks < max_pool_stripes ? num_chunks : max_pool_stripes;
    regions.num_stripes = backward ? most : 0;
  }

  // The arrays of a stripe and a worker.
  PYREC_INLINE pool_scratch at(const pool_input<T>& input, bool backward, T* scratch, int64_t stripe,
                               int64_t worker) const {
    pool_scratch placed = *this;
    placed.place(input, backward, scratch, scratch + regions.stripe_at(stripe),
                 scratch + regions.worker_at(worker));
    return placed;
  }

 private:
  // Returns the sizes of the regions.
  PYREC_INLINE scratch_regions place(const pool_input<T>& input, bool backward, T* of_shared, T* of_a_stripe,
                                     T* of_a_worker) {
    constexpr uintptr_t multiple = combine_padding * sizeof(T);
    buffer_parts shared(of_shared, multiple), stripe(of_a_stripe, multiple), worker(of_a_worker, multiple);
    const int64_t num_hidden = input.attention.hidden;
    const int64_t num_heads = input.attention.heads;
    const bool several = num_heads > 1;
    const int64_t again = backward ? 1 : 0;
    weight_t = shared.take<T>(input.dim * hidden);
    bias = shared.take<T>(hidden);
    vector = shared.take<T>(num_heads * columns());
    vector_t = shared.take<T>(several ? columns() * heads : 0);
    weight = shared.take<T>(again * num_hidden * dim);
    segment = shared.take<int32_t>(again * input.num_slots);
    start = shared.take<int32_t>(again * (input.num_rows + 1));
    slots = shared.take<int32_t>(again * input.num_slots);
    grad_weight = stripe.take<T>(again * num_hidden * dim);
    grad_bias = stripe.take<T>(again * hidden);
    grad_vector = stripe.take<T>(again * num_heads * columns());
    x = worker.take<T>(pool_block_rows * dim);
    projected = worker.take<T>(pool_block_rows * hidden);
    scores = worker.take<T>(pool_block_rows * score_stride);
    pooled = worker.take<T>(heads * dim);
    grad_t = worker.take<T>(again * dim * heads);
    grad_alpha = worker.take<T>(again * pool_block_rows * heads);
    grad_hidden = worker.take<T>(again * pool_block_rows * hidden);
    grad_x = worker.take<T>(again * pool_block_rows * dim);
    constexpr auto size = static_cast<int64_t>(sizeof(T));
    return {shared.bytes() / size, 0, stripe.bytes() / size, worker.bytes() / size};
  }

 public:
  // Of vector and its sums.
  PYREC_INLINE int64_t columns() const { return hidden > 0 ? hidden : dim; }
};

}  // namespace pyrec
