#pragma once
// A combine's scratch on the CPU, as typed arrays. It has three regions, [shared][stripes][workers]: what all
// threads read, a stripe's sums of gradients, and what a thread needs for the block in hand. The binding takes
// the size from here and the kernels the arrays. Rows are padded to whole vectors of every instruction set.
#include <cstdint>

#include "common/rounding.hpp"
#include "common/scratch_parts.hpp"

namespace pyrec {

constexpr int64_t combine_padding = 16;
constexpr int64_t max_combine_stripes = 64;

constexpr PYREC_INLINE int64_t padded(int64_t count) { return rounded_up(count, combine_padding); }

// Nodes in a block: 16 to 64, so that a block has 64 rows or more to multiply at a time.
constexpr PYREC_INLINE int64_t block_nodes(int64_t num_layers) {
  return num_layers >= 4 ? 16 : num_layers >= 2 ? 32 : 64;
}

// Stripes that sum the gradients of the parameters: by the number of rows alone, never that of threads.
constexpr PYREC_INLINE int64_t combine_stripes(int64_t num_rows, int64_t num_layers) {
  const int64_t blocks = ceil_div(num_rows, block_nodes(num_layers));
  return blocks < max_combine_stripes ? blocks : max_combine_stripes;
}

// Numbers in each region.
struct scratch_regions {
  int64_t shared;
  int64_t num_stripes;
  int64_t stripe;
  int64_t worker;

  PYREC_INLINE int64_t size(int64_t num_workers) const {
    return shared + num_stripes * stripe + num_workers * worker;
  }
  PYREC_INLINE int64_t stripe_at(int64_t s) const { return shared + s * stripe; }
  PYREC_INLINE int64_t worker_at(int64_t w) const { return shared + num_stripes * stripe + w * worker; }
};

// B nodes a block, P = L * B rows a block: row l * B + n is row l of node n.
template <class T>
struct attention_scratch {
  int64_t nodes;   // B
  int64_t rows;    // P
  int64_t dim;     // padded
  int64_t hidden;  // padded
  scratch_regions regions;

  // Shared: the parameters.
  T* weight_t;  // (dim, hidden)
  T* bias;      // (hidden,)
  T* vector;    // (hidden,)
  T* weight;    // (hidden, dim), backward
  // Of a stripe, backward: sums.
  T* grad_weight;  // (hidden, dim)
  T* grad_bias;    // (hidden,)
  T* grad_vector;  // (hidden,)
  // Of a worker.
  T* x;          // (P, dim)
  T* projected;  // (P, hidden)
  T* scores;     // (L, B)
  T* mask;       // (L, B)
  T* inverse;    // (P,) 1 / ||x||
  T* pooled;     // (B, dim) E, or its gradient
  T* grad_x;     // (P, dim), backward
  T* alpha;      // (L, B), backward

  PYREC_INLINE attention_scratch(int64_t num_rows, int64_t num_layers, int64_t x_dim, int64_t num_hidden,
                                 bool backward)
      : nodes(block_nodes(num_layers)),
        rows(num_layers * nodes),
        dim(padded(x_dim)),
        hidden(padded(num_hidden)),
        x_dim_(x_dim),
        num_hidden_(num_hidden),
        backward_(backward) {
    regions = place(nullptr, nullptr, nullptr);
    regions.num_stripes = backward ? combine_stripes(num_rows, num_layers) : 0;
  }

  // The arrays of a stripe and a worker.
  PYREC_INLINE attention_scratch at(T* scratch, int64_t stripe, int64_t worker) const {
    attention_scratch placed = *this;
    placed.place(scratch, scratch + regions.stripe_at(stripe), scratch + regions.worker_at(worker));
    return placed;
  }

 private:
  int64_t x_dim_;       // dim, not padded
  int64_t num_hidden_;  // hidden, not padded
  bool backward_;

  // Returns the sizes of the regions.
  PYREC_INLINE scratch_regions place(T* shared, T* stripe, T* worker) {
    constexpr uintptr_t multiple = combine_padding * sizeof(T);
    buffer_parts of_all(shared, multiple), of_stripe(stripe, multiple), of_worker(worker, multiple);
    weight_t = of_all.take<T>(x_dim_ * hidden);
    bias = of_all.take<T>(hidden);
    vector = of_all.take<T>(hidden);
    weight = of_all.take<T>(backward_ ? num_hidden_ * dim : 0);
    grad_weight = of_stripe.take<T>(backward_ ? num_hidden_ * dim : 0);
    grad_bias = of_stripe.take<T>(backward_ ? hidden : 0);
    grad_vector = of_stripe.take<T>(backward_ ? hidden : 0);
    x = of_worker.take<T>(rows * dim);
    projected = of_worker.take<T>(rows * hidden);
    scores = of_worker.take<T>(rows);
    mask = of_worker.take<T>(rows);
    inverse = of_worker.take<T>(rows);
    pooled = of_worker.take<T>(nodes * dim);
    grad_x = of_worker.take<T>(backward_ ? rows * dim : 0);
    alpha = of_worker.take<T>(backward_ ? rows : 0);
    constexpr auto size = static_cast<int64_t>(sizeof(T));
    return {of_all.bytes() / size, 0, of_stripe.bytes() / size, of_worker.bytes() / size};
  }
};

template <class T>
struct self_attention_scratch {
  int64_t nodes;  // B
  int64_t rows;   // P
  int64_t dim;    // padded
  scratch_regions regions;

  // Shared, backward: the parameters, transposed.
  T* query_t;  // (dim, dim)
  T* key_t;    // (dim, dim)
  T* value_t;  // (dim, dim)
  // Of a stripe, backward: sums, transposed.
  T* grad_query_t;  // (dim, dim)
  T* grad_key_t;    // (dim, dim)
  T* grad_value_t;  // (dim, dim)
  // Of a worker.
  T* x;        // (P, dim)
  T* x_t;      // (dim, P); backward it becomes dQ
  T* query;    // (dim, P)
  T* key;      // (dim, P)
  T* weights;  // (L, L, B)
  T* mean;     // (L, B)
  T* mask;     // (L, B)
  T* share;    // (B,)
  // Of a worker, forward.
  T* pooled_t;  // (dim, B)
  T* out_t;     // (dim, B)
  T* alpha;     // (L, B)
  // Of a worker, backward.
  T* grad;         // (B, dim)
  T* pooled;       // (B, dim)
  T* grad_pooled;  // (B, dim)
  T* grad_mean;    // (L, B)
  T* grad_x;       // (P, dim)
  T* grad_key;     // (dim, P)

  PYREC_INLINE self_attention_scratch(int64_t num_rows, int64_t num_layers, int64_t x_dim, bool backward)
      : nodes(block_nodes(num_layers)),
        rows(num_layers * nodes),
        dim(padded(x_dim)),
        num_layers_(num_layers),
        x_dim_(x_dim),
        backward_(backward) {
    regions = place(nullptr, nullptr, nullptr);
    regions.num_stripes = backward ? combine_stripes(num_rows, num_layers) : 0;
  }

  // The arrays of a stripe and a worker.
  PYREC_INLINE self_attention_scratch at(T* scratch, int64_t stripe, int64_t worker) const {
    self_attention_scratch placed = *this;
    placed.place(scratch, scratch + regions.stripe_at(stripe), scratch + regions.worker_at(worker));
    return placed;
  }

 private:
  int64_t num_layers_;
  int64_t x_dim_;  // dim, not padded
  bool backward_;

  // Returns the sizes of the regions.
  PYREC_INLINE scratch_regions place(T* shared, T* stripe, T* worker) {
    constexpr uintptr_t multiple = combine_padding * sizeof(T);
    buffer_parts of_all(shared, multiple), of_stripe(stripe, multiple), of_worker(worker, multiple);
    const int64_t parameter = backward_ ? x_dim_ * dim : 0;
    query_t = of_all.take<T>(parameter);
    key_t = of_all.take<T>(parameter);
    value_t = of_all.take<T>(parameter);
    grad_query_t = of_stripe.take<T>(parameter);
    grad_key_t = of_stripe.take<T>(parameter);
    grad_value_t = of_stripe.take<T>(parameter);
    x = of_worker.take<T>(rows * dim);
    x_t = of_worker.take<T>(dim * rows);
    query = of_worker.take<T>(x_dim_ * rows);
    key = of_worker.take<T>(x_dim_ * rows);
    weights = of_worker.take<T>(num_layers_ * rows);
    mean = of_worker.take<T>(rows);
    mask = of_worker.take<T>(rows);
    share = of_worker.take<T>(nodes);
    pooled_t = of_worker.take<T>(backward_ ? 0 : dim * nodes);
    out_t = of_worker.take<T>(backward_ ? 0 : dim * nodes);
    alpha = of_worker.take<T>(backward_ ? 0 : rows);
    grad = of_worker.take<T>(backward_ ? nodes * dim : 0);
    pooled = of_worker.take<T>(backward_ ? nodes * dim : 0);
    grad_pooled = of_worker.take<T>(backward_ ? nodes * dim : 0);
    grad_mean = of_worker.take<T>(backward_ ? rows : 0);
    grad_x = of_worker.take<T>(backward_ ? rows * dim : 0);
    grad_key = of_worker.take<T>(backward_ ? x_dim_ * rows : 0);
    constexpr auto size = static_cast<int64_t>(sizeof(T));
    return {of_all.bytes() / size, 0, of_stripe.bytes() / size, of_worker.bytes() / size};
  }
};

}  // namespace pyrec
