#pragma once
// A block of nodes on its way through the attention kernels: rows in and out, softmax over the layers. Two
// layouts: rows (P, dim), row l * B + n being row l of the block's node n, and lanes (L, B), in which vectors
// run over nodes.
#include "combine/combine.hpp"
#include "combine/scratch_cpu.hpp"
#include "common/parallel.hpp"
#include "isa/block_product.hpp"

namespace pyrec::PYREC_ISA {

// Nodes [first, first + count) of the input, count <= nodes.
struct node_block {
  int64_t first;
  int64_t count;
  int64_t nodes;  // B
};

PYREC_INLINE node_block block_at(int64_t block, int64_t nodes, int64_t num_rows) {
  const int64_t first = block * nodes;
  return {first, num_rows - first < nodes ? num_rows - first : nodes, nodes};
}

// Blocks [begin, end) of stripe s.
struct block_range {
  int64_t begin;
  int64_t end;
};

PYREC_INLINE block_range stripe_blocks(int64_t stripe, int64_t num_stripes, int64_t num_rows, int64_t nodes) {
  const int64_t blocks = ceil_div(num_rows, nodes);
  return {stripe * blocks / num_stripes, (stripe + 1) * blocks / num_stripes};
}

template <class T>
PYREC_INLINE void fill_zero(T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = 0;
}

// One row of dim numbers, padded with zeros to padded_dim.
template <class T>
PYREC_INLINE void read_row(const T* from, int64_t dim, T* to, int64_t padded_dim) {
  constexpr int width = simd<T>::width;
  int64_t j = 0;
  for (; j + width <= dim; j += width) store(to + j, load(from + j));
  for (; j < padded_dim; ++j) to[j] = j < dim ? from[j] : T(0);
}

template <class T>
PYREC_INLINE void write_row(const T* from, T* to, int64_t dim) {
  constexpr int width = simd<T>::width;
  int64_t j = 0;
  for (; j + width <= dim; j += width) store(to + j, load(from + j));
  for (; j < dim; ++j) to[j] = from[j];
}

// The rows (count, dim) at `from` into (nodes, padded_dim); zeros beyond the last node. The next block's rows
// are called from memory meanwhile, to be there when this one is done.
template <class T>
void read_rows(const T* from, int64_t stride, int64_t dim, const node_block& block, T* to,
               int64_t padded_dim) {
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t n = 0; n < block.count; ++n) {
    const T* row = from + (block.first + n) * stride;
    for (int64_t j = 0; j < dim; j += line) __builtin_prefetch(row + block.nodes * stride + j);
    read_row(row, dim, to + n * padded_dim, padded_dim);
  }
  fill_zero(to + block.count * padded_dim, (block.nodes - block.count) * padded_dim);
}

// x: (P, padded_dim)
template <class T>
void read_layers(const combine_input<T>& input, const node_block& block, T* x, int64_t padded_dim) {
  for (int64_t l = 0; l < input.num_layers; ++l) {
    const layer_rows<T>& layer = input.layers[l];
    read_rows(layer.rows, layer.stride, input.dim, block, x + l * block.nodes * padded_dim, padded_dim);
  }
}

// grad_x: (P, padded_dim)
template <class T>
void write_layers(const combine_input<T>& input, const node_block& block, const T* grad_x, int64_t padded_dim,
                  T* const* grad_layers) {
  for (int64_t l = 0; l < input.num_layers; ++l) {
    for (int64_t n = 0; n < block.count; ++n) {
      write_row(grad_x + (l * block.nodes + n) * padded_dim, grad_layers[l] + (block.first + n) * input.dim,
                input.dim);
    }
  }
}

// mask: (L, B), 1 where a row takes part and 0 elsewhere.
template <class T>
void read_mask(const combine_input<T>& input, const node_block& block, T* mask) {
  for (int64_t l = 0; l < input.num_layers; ++l) {
    for (int64_t n = 0; n < block.nodes; ++n) {
      const bool real = n < block.count && input.mask != nullptr;
      mask[l * block.nodes + n] = !real || input.mask[(block.first + n) * input.num_layers + l] ? T(1) : T(0);
    }
  }
}

// pooled: (B, padded_dim)
template <class T>
void write_pooled(const T* pooled, const node_block& block, int64_t dim, int64_t padded_dim, T* out) {
  for (int64_t n = 0; n < block.count; ++n) {
    write_row(pooled + n * padded_dim, out + (block.first + n) * dim, dim);
  }
}

// (num_rows, L) into lanes (L, B), zeros beyond the last node.
template <class T>
void read_lanes(const T* from, int64_t num_layers, const node_block& block, T* lanes) {
  for (int64_t l = 0; l < num_layers; ++l) {
    for (int64_t n = 0; n < block.nodes; ++n) {
      lanes[l * block.nodes + n] = n < block.count ? from[(block.first + n) * num_layers + l] : T(0);
    }
  }
}

template <class T>
void write_lanes(const T* lanes, int64_t num_layers, const node_block& block, T* to) {
  for (int64_t n = 0; n < block.count; ++n) {
    for (int64_t l = 0; l < num_layers; ++l)
      to[(block.first + n) * num_layers + l] = lanes[l * block.nodes + n];
  }
}

// scores: (L, B) become their softmax over the rows that the mask (L, B) leaves in; a node without any gets
// zeros.
template <class T>
void softmax_lanes(T* scores, const T* mask, int64_t num_layers, int64_t nodes) {
  constexpr int width = simd<T>::width;
  const vec<T> lowest = broadcast(real_bits<T>::lowest);
  for (int64_t n = 0; n < nodes; n += width) {
    vec<T> most = lowest;
    for (int64_t l = 0; l < num_layers; ++l) {
      const vec<T> score = load(mask + l * nodes + n) > 0 ? load(scores + l * nodes + n) : lowest;
      store(scores + l * nodes + n, score);
      most = most < score ? score : most;
    }
    vec<T> sum{};
    for (int64_t l = 0; l < num_layers; ++l) {
      const vec<T> weight = exp_negative<T>(load(scores + l * nodes + n) - most) * load(mask + l * nodes + n);
      store(scores + l * nodes + n, weight);
      sum += weight;
    }
    const vec<T> inverse = sum == 0 ? sum : 1 / sum;
    for (int64_t l = 0; l < num_layers; ++l) {
      store(scores + l * nodes + n, load(scores + l * nodes + n) * inverse);
    }
  }
}

// out[n] = sum_l weights[l][n] * x[l][n], for x (P, padded_dim), weights (L, B), out (B, padded_dim).
template <class T>
void pool_rows(const T* x, const T* weights, int64_t num_layers, int64_t nodes, int64_t padded_dim, T* out) {
  constexpr int width = simd<T>::width;
  for (int64_t n = 0; n < nodes; ++n) {
    for (int64_t j = 0; j < padded_dim; j += width) {
      vec<T> sum{};
      for (int64_t l = 0; l < num_layers; ++l) {
        const int64_t row = l * nodes + n;
        sum = multiply_add(broadcast(weights[row]), load(x + row * padded_dim + j), sum);
      }
      store(out + n * padded_dim + j, sum);
    }
  }
}

// x[l][n] (+)= weights[l][n] * y[n], for weights (L, B), y (B, padded_dim), x (P, padded_dim).
template <class T>
void spread_rows(const T* y, const T* weights, int64_t num_layers, int64_t nodes, int64_t padded_dim,
                 bool accumulate, T* x) {
  constexpr int width = simd<T>::width;
  for (int64_t l = 0; l < num_layers; ++l) {
    for (int64_t n = 0; n < nodes; ++n) {
      const vec<T> weight = broadcast(weights[l * nodes + n]);
      T* to = x + (l * nodes + n) * padded_dim;
      for (int64_t j = 0; j < padded_dim; j += width) {
        const vec<T> before = accumulate ? load(to + j) : vec<T>{};
        store(to + j, multiply_add(weight, load(y + n * padded_dim + j), before));
      }
    }
  }
}

// dots[l][n] = <y[n], x[l][n]>, for y (B, padded_dim), x (P, padded_dim), dots (L, B).
template <class T>
void dot_rows(const T* x, const T* y, int64_t num_layers, int64_t nodes, int64_t padded_dim, T* dots) {
  constexpr int width = simd<T>::width;
  for (int64_t n = 0; n < nodes; n += width) {
    for (int64_t l = 0; l < num_layers; ++l) {
      vec<T> sums[width];
      for (int i = 0; i < width; ++i) {
        sums[i] = vec<T>{};
        const T* left = x + (l * nodes + n + i) * padded_dim;
        const T* right = y + (n + i) * padded_dim;
        for (int64_t j = 0; j < padded_dim; j += width)
          sums[i] = multiply_add(load(left + j), load(right + j), sums[i]);
      }
      store(dots + l * nodes + n, sum_lanes<T>(sums));
    }
  }
}

// grads: (L, B) of softmax's weights (L, B) become those of its scores: w_l (g_l - sum_m w_m g_m).
template <class T>
void softmax_lanes_backward(const T* weights, T* grads, int64_t num_layers, int64_t nodes) {
  constexpr int width = simd<T>::width;
  for (int64_t n = 0; n < nodes; n += width) {
    vec<T> mean{};
    for (int64_t l = 0; l < num_layers; ++l) {
      mean = multiply_add(load(weights + l * nodes + n), load(grads + l * nodes + n), mean);
    }
    for (int64_t l = 0; l < num_layers; ++l) {
      store(grads + l * nodes + n, load(weights + l * nodes + n) * (load(grads + l * nodes + n) - mean));
    }
  }
}

// lanes (L, B) += factor * from (num_rows, L)
template <class T>
void add_lanes(const T* from, int64_t num_layers, const node_block& block, T factor, T* lanes) {
  for (int64_t n = 0; n < block.count; ++n) {
    for (int64_t l = 0; l < num_layers; ++l) {
      T& lane = lanes[l * block.nodes + n];
      lane = multiply_add(factor, from[(block.first + n) * num_layers + l], lane);
    }
  }
}

// body(block, worker) for every block of nodes, some at a time.
template <class Body>
void for_blocks(int64_t num_rows, int64_t nodes, int num_workers, const Body& body) {
  constexpr int64_t blocks_per_task = 8;
  const int64_t blocks = ceil_div(num_rows, nodes);
  parallel_ranges_workers(blocks, blocks_per_task, num_workers, [&](int64_t first, int64_t last, int worker) {
    for (int64_t b = first; b < last; ++b) body(block_at(b, nodes, num_rows), worker);
  });
}

// body(block, arrays) for every block of nodes: those of a stripe in sequence, its sums starting at zero.
// Scratch: attention_scratch<T> or self_attention_scratch<T>.
template <class T, class Scratch, class Body>
void for_stripes(const Scratch& layout, int64_t num_rows, int num_workers, T* scratch, const Body& body) {
  const scratch_regions& regions = layout.regions;
  parallel_for_workers(regions.num_stripes, num_workers, [&](int64_t stripe, int worker) {
    fill_zero(scratch + regions.stripe_at(stripe), regions.stripe);
    const Scratch arrays = layout.at(scratch, stripe, worker);
    const block_range blocks = stripe_blocks(stripe, regions.num_stripes, num_rows, layout.nodes);
    for (int64_t b = blocks.begin; b < blocks.end; ++b) body(block_at(b, layout.nodes, num_rows), arrays);
  });
}

// out[i * out_row + j * out_column] = sums[i * padded_columns + j] of all stripes, added in their order. sums:
// those of the first one.
template <class T>
void add_stripes(const scratch_regions& regions, const T* sums, int64_t rows, int64_t columns,
                 int64_t padded_columns, T* out, int64_t out_row, int64_t out_column) {
  parallel_for(rows, [&](int64_t i) {
    for (int64_t j = 0; j < columns; ++j) {
      T total = 0;
      for (int64_t s = 0; s < regions.num_stripes; ++s) {
        total += sums[s * regions.stripe + i * padded_columns + j];
      }
      out[i * out_row + j * out_column] = total;
    }
  });
}

}  // namespace pyrec::PYREC_ISA
