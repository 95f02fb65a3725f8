#pragma once
// Scores of a tile lie with the items down and the users across a vector. So the items' rows are read number by number
// as they lie, and a user's largest score and sum are lanes. A thread takes a block of users and goes through the pool,
// or backward a tile of items and goes through the users: no sum is shared. A number is one chain of operations,
// whatever lies beside it, but for the tiles of the forward pass.
#include "common/parallel.hpp"
#include "common/scratch_parts.hpp"
#include "isa/block_product.hpp"
#include "isa/rows.hpp"
#include "xent/xent.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t xent_block = 64;        // users
constexpr int64_t xent_tile = 256;        // items of the forward pass
constexpr int64_t xent_grad_tile = 96;    // of the backward pass
constexpr int64_t xent_grad_users = 256;  // a number of blocks, at a time
constexpr int64_t xent_padding = 16;      // columns, of every instruction set's vectors

// Of all threads: the users, padded with zeros to whole blocks.
template <class T>
struct xent_users {
  T* columns;                           // (num_blocks, steps, xent_block): of a block, transposed
  typename real_bits<T>::integer* own;  // (num_blocks * xent_block,)
  T* rows;                              // (num_blocks * xent_block, dim), backward
  T* largest;                           // (num_blocks * xent_block,), backward
  T* rate;                              // (num_blocks * xent_block,), backward
};

// Of a thread.
template <class T>
struct xent_worker {
  T* items;       // (tile, stride)
  T* scores;      // (tile, users)
  T* sums;        // (xent_block, dim) of the users' means, or (tile, dim) of the items' gradients
  T* part;        // (xent_block, dim) of a tile, forward
  T* largest;     // (xent_block,), forward
  T* scale;       // (xent_block,), forward
  double* total;  // (xent_block,), or (tile,) of the offsets' gradients
};

// How a call is laid out. The offset is a last column of the items that the users have -1 in.
template <class T>
struct xent_plan {
  int64_t num_blocks, dim, steps, stride;
  bool backward;

  PYREC_INLINE xent_plan(const xent_input<T>& in, bool is_backward)
      : num_blocks(ceil_div(in.num_users, xent_block)),
        dim(rounded_up(in.dim, xent_padding)),
        steps(in.dim + (in.has_offset ? 1 : 0)),
        stride(rounded_up(steps, xent_padding)),
        backward(is_backward) {}

  PYREC_INLINE xent_users<T> take_users(buffer_parts& parts) const {
    const int64_t padded = num_blocks * xent_block;
    return {.columns = parts.take<T>(padded * steps),
            .own = parts.take<typename real_bits<T>::integer>(padded),
            .rows = parts.take<T>(backward ? padded * dim : 0),
            .largest = parts.take<T>(backward ? padded : 0),
            .rate = parts.take<T>(backward ? padded : 0)};
  }

  PYREC_INLINE xent_worker<T> take_worker(buffer_parts& parts) const {
    const int64_t items = backward ? xent_grad_tile : xent_tile;
    const int64_t users = backward ? xent_grad_users : xent_block;
    return {.items = parts.take<T>(items * stride),
            .scores = parts.take<T>(items * users),
            .sums = parts.take<T>((backward ? items : xent_block) * dim),
            .part = parts.take<T>(backward ? 0 : xent_block * dim),
            .largest = parts.take<T>(xent_block),
            .scale = parts.take<T>(xent_block),
            .total = parts.take<double>(backward ? items : xent_block)};
  }

  PYREC_INLINE int64_t worker_bytes() const {
    buffer_parts parts(nullptr, 64);
    take_worker(parts);
    return parts.bytes();
  }

  PYREC_INLINE xent_users<T> users(void* scratch) const {
    buffer_parts parts(scratch, 64);
    return take_users(parts);
  }

  PYREC_INLINE xent_worker<T> worker(void* scratch, int index) const {
    buffer_parts parts(scratch, 64);
    take_users(parts);
    parts.take<char>(index * worker_bytes());
    return take_worker(parts);
  }
};

template <class T>
int64_t xent_scratch(const xent_input<T>& in, bool backward, int num_workers) {
  const xent_plan<T> plan(in, backward);
  buffer_parts parts(nullptr, 64);
  plan.take_users(parts);
  return parts.bytes() + num_workers * plan.worker_bytes();
}

// to: (count, stride), with zeros from column `columns` on.
template <class T>
void copy_padded(const T* from, int64_t columns, int64_t count, T* to, int64_t stride) {
  constexpr int width = simd<T>::width;
  const int tail = static_cast<int>(columns % width);
  for (int64_t i = 0; i < count; ++i, from += columns, to += stride) {
    int64_t c = 0;
    for (; c + width <= columns; c += width) store(to + c, load(from + c));
    if (tail > 0) {
      store(to + c, load_partial(from + c, tail));
      c += width;
    }
    for (; c < stride; c += width) store(to + c, vec<T>{});
  }
}

template <class T>
void pack_users(const xent_input<T>& in, const xent_plan<T>& plan, const xent_users<T>& to, int64_t block) {
  const int64_t first = block * xent_block;
  const int64_t left = in.num_users - first;
  const int64_t count = left < xent_block ? left : xent_block;
  const T* from = in.users + first * in.dim;
  T* columns = to.columns + block * plan.steps * xent_block;
  pack(from, 1, in.dim, in.dim, count, columns, xent_block);
  for (int64_t u = 0; in.has_offset && u < xent_block; ++u) columns[in.dim * xent_block + u] = T(-1);
  // No load stands behind a condition in a loop: as a masked one its address would not be there.
  const int64_t named = in.own != nullptr ? count : 0;
  for (int64_t u = 0; u < named; ++u) {
    to.own[first + u] = static_cast<typename real_bits<T>::integer>(in.own[first + u]);
  }
  for (int64_t u = named; u < xent_block; ++u) to.own[first + u] = -1;
  if (!plan.backward) return;
  copy_padded(from, in.dim, count, to.rows + first * plan.dim, plan.dim);
  for (int64_t i = count * plan.dim; i < xent_block * plan.dim; ++i) to.rows[first * plan.dim + i] = T(0);
}

template <class T>
void take_items(const xent_input<T>& in, const xent_plan<T>& plan, int64_t first, int64_t count, T* to) {
  copy_padded(in.pool + first * in.dim, in.dim, count, to, plan.stride);
  for (int64_t j = 0; in.has_offset && j < count; ++j) {
    to[j * plan.stride + in.dim] = in.offset[first + j];
  }
}

// scores: (count, stride) of some items by a block of users, minus infinity where an item is a user's own.
template <class T>
void score_block(const xent_input<T>& in, const xent_plan<T>& plan, const xent_users<T>& users, int64_t block,
                 const T* items, int64_t first, int64_t count, T* scores, int64_t stride) {
  multiply<T>({.a = items,
               .a_row = plan.stride,
               .a_step = 1,
               .b = users.columns + block * plan.steps * xent_block,
               .b_stride = xent_block,
               .c = scores,
               .c_stride = stride,
               .rows = count,
               .steps = plan.steps,
               .columns = xent_block,
               .accumulate = false});
  if (in.own == nullptr) return;
  const auto* own = users.own + block * xent_block;
  const vec<T> none = broadcast(-static_cast<T>(__builtin_inf()));
  for (int64_t j = 0; j < count; ++j) {
    const ints<T> id = static_cast<typename real_bits<T>::integer>(in.ids[first + j]) - ints<T>{};
    for (int64_t u = 0; u < xent_block; u += simd<T>::width) {
      T* at = scores + j * stride + u;
      store(at, load(own + u) == id ? none : load(at));
    }
  }
}

// Vectors of a block of users at a time.
template <class T>
constexpr int xent_vectors = xent_block / simd<T>::width < 4 ? xent_block / simd<T>::width : 4;

// The users' largest scores with a tile of `count` items, and exp(before - now).
template <class T>
void raise_largest(const xent_worker<T>& w, int64_t count) {
  constexpr int width = simd<T>::width;
  for (int64_t u = 0; u < xent_block; u += xent_vectors<T> * width) {
    vec<T> most[xent_vectors<T>];
    for (int v = 0; v < xent_vectors<T>; ++v) most[v] = load(w.largest + u + v * width);
    for (int64_t j = 0; j < count; ++j) {
      for (int v = 0; v < xent_vectors<T>; ++v) {
        const vec<T> score = load(w.scores + j * xent_block + u + v * width);
        most[v] = score > most[v] ? score : most[v];
      }
    }
    for (int v = 0; v < xent_vectors<T>; ++v) {
      T* largest = w.largest + u + v * width;
      store(w.scale + u + v * width, exp_or_zero<T>(load(largest) - most[v]));
      store(largest, most[v]);
    }
  }
}

// Scores become exponentials relative to the largest, and the users' totals grow by them.
template <class T>
void add_exponentials(const xent_worker<T>& w, int64_t count) {
  constexpr int width = simd<T>::width;
  for (int64_t u = 0; u < xent_block; u += xent_vectors<T> * width) {
    vec<T> sum[xent_vectors<T>] = {};
    for (int64_t j = 0; j < count; ++j) {
      for (int v = 0; v < xent_vectors<T>; ++v) {
        T* at = w.scores + j * xent_block + u + v * width;
        const vec<T> e = exp_or_zero<T>(load(at) - load(w.largest + u + v * width));
        sum[v] += e;
        store(at, e);
      }
    }
    for (int v = 0; v < xent_vectors<T>; ++v) {
      for (int lane = 0; lane < width; ++lane) {
        double& total = w.total[u + v * width + lane];
        const double scale = static_cast<double>(w.scale[u + v * width + lane]);
        total = total * scale + static_cast<double>(sum[v][lane]);
      }
    }
  }
}

// The sums of the users' items grow by a tile of `count`, weighted by their exponentials.
template <class T>
void add_items(const xent_plan<T>& plan, const xent_worker<T>& w, int64_t count, int64_t num_users) {
  multiply<T>({.a = w.scores,
               .a_row = 1,
               .a_step = xent_block,
               .b = w.items,
               .b_stride = plan.stride,
               .c = w.part,
               .c_stride = plan.dim,
               .rows = num_users,
               .steps = count,
               .columns = plan.dim,
               .accumulate = false});
  for (int64_t u = 0; u < num_users; ++u) {
    const vec<T> scale = broadcast(w.scale[u]);
    for (int64_t c = u * plan.dim; c < (u + 1) * plan.dim; c += simd<T>::width) {
      store(w.sums + c, multiply_add(load(w.sums + c), scale, load(w.part + c)));
    }
  }
}

template <class T>
void finish_users(const xent_args<T>& a, const xent_plan<T>& plan, const xent_worker<T>& w, int64_t first,
                  int64_t num_users) {
  for (int64_t u = 0; u < num_users; ++u) {
    const double total = w.total[u];
    a.total[first + u] = static_cast<T>(total);
    a.largest[first + u] = w.largest[u];
    a.log_total[first + u] = static_cast<T>(__builtin_log(total) + static_cast<double>(w.largest[u]));
    if (a.mean == nullptr) continue;
    const T factor = total == 0 ? T(0) : static_cast<T>(1 / total);
    T* mean = a.mean + (first + u) * a.input.dim;
    for (int64_t c = 0; c < a.input.dim; ++c) mean[c] = factor * w.sums[u * plan.dim + c];
  }
}

template <class T>
void total_of_block(const xent_args<T>& a, const xent_plan<T>& plan, const xent_users<T>& users,
                    const xent_worker<T>& w, int64_t block) {
  const xent_input<T>& in = a.input;
  const int64_t left = in.num_users - block * xent_block;
  const int64_t num_users = left < xent_block ? left : xent_block;
  for (int64_t u = 0; u < xent_block; ++u) {
    w.largest[u] = real_bits<T>::lowest;
    w.total[u] = 0;
  }
  for (int64_t i = 0; i < xent_block * plan.dim; ++i) w.sums[i] = T(0);
  for (int64_t first = 0; first < in.num_items; first += xent_tile) {
    const int64_t count = in.num_items - first < xent_tile ? in.num_items - first : xent_tile;
    take_items(in, plan, first, count, w.items);
    score_block(in, plan, users, block, w.items, first, count, w.scores, xent_block);
    raise_largest(w, count);
    add_exponentials(w, count);
    if (a.mean != nullptr) add_items(plan, w, count, num_users);
  }
  finish_users(a, plan, w, block * xent_block, num_users);
}

template <class T>
void xent_log_total(const xent_args<T>& a) {
  const xent_plan<T> plan(a.input, false);
  const xent_users<T> users = plan.users(a.scratch);
  parallel_for_workers(plan.num_blocks, a.num_workers, [&](int64_t block, int worker) {
    pack_users(a.input, plan, users, block);
    total_of_block(a, plan, users, plan.worker(a.scratch, worker), block);
  });
}

// Scores of an item become g_u p_uj; returns their sum where it is asked for.
template <class T>
PYREC_INLINE vec<T> weigh_scores(T* scores, const T* largest, const T* rate, int64_t count) {
  vec<T> sum{};
  for (int64_t u = 0; u < count; u += simd<T>::width) {
    const vec<T> weight = exp_or_zero<T>(load(scores + u) - load(largest + u)) * load(rate + u);
    store(scores + u, weight);
    sum += weight;
  }
  return sum;
}

// What users from block `from` on, `blocks` of them, add to the gradients of the items of a tile.
template <class T>
void add_users(const xent_grad_args<T>& a, const xent_plan<T>& plan, const xent_users<T>& users,
               const xent_worker<T>& w, int64_t from, int64_t blocks, int64_t first, int64_t count) {
  const int64_t user = from * xent_block;
  for (int64_t b = 0; b < blocks; ++b) {
    score_block(a.input, plan, users, from + b, w.items, first, count, w.scores + b * xent_block,
                xent_grad_users);
  }
  for (int64_t j = 0; j < count; ++j) {
    const vec<T> sum = weigh_scores(w.scores + j * xent_grad_users, users.largest + user, users.rate + user,
                                    blocks * xent_block);
    if (a.grad_offset != nullptr) w.total[j] += sum_wide<T>(sum);
  }
  const int64_t left = a.input.num_users - user;
  multiply<T>({.a = w.scores,
               .a_row = xent_grad_users,
               .a_step = 1,
               .b = users.rows + user * plan.dim,
               .b_stride = plan.dim,
               .c = w.sums,
               .c_stride = plan.dim,
               .rows = count,
               .steps = left < blocks * xent_block ? left : blocks * xent_block,
               .columns = plan.dim,
               .accumulate = true});
}

template <class T>
void gradient_of_tile(const xent_grad_args<T>& a, const xent_plan<T>& plan, const xent_users<T>& users,
                      const xent_worker<T>& w, int64_t first, int64_t count) {
  constexpr int64_t at_once = xent_grad_users / xent_block;
  take_items(a.input, plan, first, count, w.items);
  for (int64_t i = 0; i < count * plan.dim; ++i) w.sums[i] = T(0);
  for (int64_t j = 0; j < count; ++j) w.total[j] = 0;
  for (int64_t block = 0; block < plan.num_blocks; block += at_once) {
    const int64_t left = plan.num_blocks - block;
    add_users(a, plan, users, w, block, left < at_once ? left : at_once, first, count);
  }
  for (int64_t j = 0; j < count; ++j) {
    T* grad = a.grad_pool + (first + j) * a.input.dim;
    for (int64_t c = 0; c < a.input.dim; ++c) grad[c] = w.sums[j * plan.dim + c];
    if (a.grad_offset != nullptr) a.grad_offset[first + j] = static_cast<T>(-w.total[j]);
  }
}

template <class T>
void xent_grad(const xent_grad_args<T>& a) {
  const xent_plan<T> plan(a.input, true);
  const xent_users<T> users = plan.users(a.scratch);
  parallel_for(plan.num_blocks, [&](int64_t block) {
    pack_users(a.input, plan, users, block);
    for (int64_t u = block * xent_block; u < (block + 1) * xent_block; ++u) {
      users.largest[u] = u < a.input.num_users ? a.largest[u] : T(0);
      users.rate[u] = u < a.input.num_users ? a.rate[u] : T(0);
    }
  });
  parallel_ranges_workers(
      a.input.num_items, xent_grad_tile, a.num_workers, [&](int64_t first, int64_t last, int worker) {
        gradient_of_tile(a, plan, users, plan.worker(a.scratch, worker), first, last - first);
      });
}

}  // namespace pyrec::PYREC_ISA
