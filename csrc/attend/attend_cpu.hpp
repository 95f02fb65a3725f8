#pragma once
// A head of a segment at a time. Scores are made transposed, the key's slot down and the query's across, so that a
// softmax runs down vectors; what they weigh is summed with columns across.
#include "attend/attend.hpp"
#include "common/parallel.hpp"
#include "isa/block_product.hpp"
#include "isa/rows.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t attend_segments_per_task = 16;

// The slots of a segment.
struct attend_slots {
  int64_t first;
  int64_t count;  // n
};

// Arrays of a head of a segment: n slots, rounded up to P; d columns, rounded up to D.
template <class T>
struct attend_head {
  int64_t slots;    // P
  int64_t columns;  // D
  T* query;         // (P, D) scaled, zeros behind n
  T* query_t;       // (D, P)
  T* key;           // (n, D)
  T* value;         // (n, D)
  T* weights;       // (n, P) row j: A_ij
  T* result;        // (n, D)
  // Backward.
  T* grad;          // (P, D)
  T* grad_t;        // (D, P)
  T* grad_weights;  // (n, P) dA, then dS
  int64_t bytes;

  PYREC_INLINE attend_head(void* scratch, int64_t count, int64_t head_dim, bool backward)
      : slots(rounded_up(count, simd<T>::width)), columns(rounded_up(head_dim, simd<T>::width)) {
    buffer_parts parts(scratch, 64);
    query = parts.take<T>(slots * columns);
    query_t = parts.take<T>(columns * slots);
    key = parts.take<T>(count * columns);
    value = parts.take<T>(count * columns);
    weights = parts.take<T>(count * slots);
    result = parts.take<T>(count * columns);
    grad = parts.take<T>(backward ? slots * columns : 0);
    grad_t = parts.take<T>(backward ? columns * slots : 0);
    grad_weights = parts.take<T>(backward ? count * slots : 0);
    bytes = parts.bytes();
  }
};

template <class T>
int64_t attend_scratch(const attend_args<T>& a) {
  return attend_head<T>(nullptr, attend_most_slots, a.head_dim, true).bytes;
}

template <class T>
PYREC_INLINE T attend_scale(const attend_args<T>& a) {
  return static_cast<T>(1 / __builtin_sqrt(static_cast<double>(a.head_dim)));
}

// to: (count, columns) = factor * the rows of head_dim numbers that row(i) finds, zeros behind them.
template <class T, class Row>
PYREC_INLINE void read_slots(int64_t count, int64_t head_dim, int64_t columns, T factor, const Row& row,
                             T* to) {
  for (int64_t i = 0; i < count; ++i) {
    const T* from = row(i);
    for_vectors<T>(head_dim, [&](int64_t c, const auto& read, const auto&) {
      store(to + i * columns + c, broadcast(factor) * read(from + c));
    });
  }
}

template <class T>
PYREC_INLINE void zero_slots(int64_t first, int64_t last, int64_t columns, T* to) {
  for (int64_t i = first * columns; i < last * columns; i += simd<T>::width) store(to + i, vec<T>{});
}

// Part 0, 1 or 2 of the row of a slot: the head's queries, keys or values.
template <class T>
PYREC_INLINE int64_t part_at(const attend_args<T>& a, int64_t slot, int64_t head, int part) {
  const int64_t row = a.index == nullptr ? slot : a.index[slot];
  return ((row * 3 + part) * a.num_heads + head) * a.head_dim;
}

// weights (n, P): the softmax of each column.
template <class T>
PYREC_INLINE void softmax_down(T* weights, int64_t count, int64_t slots) {
  constexpr int width = simd<T>::width;
  for (int64_t i = 0; i < slots; i += width) {
    vec<T> most = load(weights + i);
    for (int64_t j = 1; j < count; ++j) {
      const vec<T> score = load(weights + j * slots + i);
      most = score > most ? score : most;
    }
    vec<T> sum{};
    for (int64_t j = 0; j < count; ++j) {
      const vec<T> raised = exp_negative<T>(load(weights + j * slots + i) - most);
      store(weights + j * slots + i, raised);
      sum += raised;
    }
    const vec<T> share = 1 / sum;
    for (int64_t j = 0; j < count; ++j) {
      store(weights + j * slots + i, load(weights + j * slots + i) * share);
    }
  }
}

// query, query_t, key, value and weights of a head.
template <class T>
PYREC_INLINE void weigh_slots(const attend_args<T>& a, const attend_slots& of, int64_t head,
                              const attend_head<T>& h) {
  const auto part = [&](int which) __attribute__((always_inline)) {
    return [&, which](int64_t i)
               __attribute__((always_inline)) { return a.qkv + part_at(a, of.first + i, head, which); };
  };
  read_slots(of.count, a.head_dim, h.columns, attend_scale(a), part(0), h.query);
  zero_slots(of.count, h.slots, h.columns, h.query);
  read_slots(of.count, a.head_dim, h.columns, T(1), part(1), h.key);
  read_slots(of.count, a.head_dim, h.columns, T(1), part(2), h.value);
  transpose(h.query, h.columns, h.slots, h.columns, h.query_t, h.slots);
  multiply<T>({.a = h.key,
               .a_row = h.columns,
               .a_step = 1,
               .b = h.query_t,
               .b_stride = h.slots,
               .c = h.weights,
               .c_stride = h.slots,
               .rows = of.count,
               .steps = a.head_dim,
               .columns = h.slots,
               .accumulate = false});
  if (a.key_bias != nullptr) {
    for (int64_t j = 0; j < of.count; ++j) {
      const vec<T> bias = broadcast(a.key_bias[(of.first + j) * a.num_heads + head]);
      T* scores = h.weights + j * h.slots;
      for (int64_t i = 0; i < h.slots; i += simd<T>::width) store(scores + i, load(scores + i) + bias);
    }
  }
  softmax_down(h.weights, of.count, h.slots);
}

// result (n, D): result_x = sum_y factor(x, y) rows_y, where factor(x, y) = factors[x * x_step + y * y_step].
template <class T>
PYREC_INLINE void sum_slots(const attend_head<T>& h, int64_t count, const T* factors, int64_t x_step,
                            int64_t y_step, const T* rows) {
  multiply<T>({.a = factors,
               .a_row = x_step,
               .a_step = y_step,
               .b = rows,
               .b_stride = h.columns,
               .c = h.result,
               .c_stride = h.columns,
               .rows = count,
               .steps = count,
               .columns = h.columns,
               .accumulate = false});
}

template <class T>
void attend_forward(const attend_args<T>& a, const attend_slots& of, int64_t head, void* scratch) {
  const attend_head<T> h(scratch, of.count, a.head_dim, false);
  weigh_slots(a, of, head, h);
  sum_slots(h, of.count, h.weights, 1, h.slots, h.value);
  for (int64_t i = 0; i < of.count; ++i) {
    T* out = a.out + ((of.first + i) * a.num_heads + head) * a.head_dim;
    for_vectors<T>(a.head_dim, [&](int64_t c, const auto&, const auto& write) {
      write(out + c, load(h.result + i * h.columns + c));
    });
  }
}

// grad_weights (n, P): dA becomes dS.
template <class T>
PYREC_INLINE void softmax_grad_down(const attend_head<T>& h, int64_t count) {
  for (int64_t i = 0; i < h.slots; i += simd<T>::width) {
    vec<T> mean{};
    for (int64_t j = i; j < count * h.slots; j += h.slots) {
      mean = multiply_add(load(h.weights + j), load(h.grad_weights + j), mean);
    }
    for (int64_t j = i; j < count * h.slots; j += h.slots) {
      store(h.grad_weights + j, load(h.weights + j) * (load(h.grad_weights + j) - mean));
    }
  }
}

// The result, times a factor, is the slots' part of the gradient, or is added to it where slots may share a row.
template <class T>
PYREC_INLINE void add_result(const attend_args<T>& a, const attend_slots& of, int64_t head, int part,
                             T factor, const attend_head<T>& h) {
  for (int64_t i = 0; i < of.count; ++i) {
    T* grad = a.grad_qkv + part_at(a, of.first + i, head, part);
    for_vectors<T>(a.head_dim, [&](int64_t c, const auto& read, const auto& write) {
      const vec<T> term = load(h.result + i * h.columns + c) * broadcast(factor);
      write(grad + c, a.index == nullptr ? term : read(grad + c) + term);
    });
  }
}

template <class T>
PYREC_INLINE void write_bias_grad(const attend_args<T>& a, const attend_slots& of, int64_t head,
                                  const attend_head<T>& h) {
  for (int64_t j = 0; j < of.count; ++j) {
    vec<T> sum{};  // lanes behind n are zero, as their rows of grad are
    for (int64_t i = 0; i < h.slots; i += simd<T>::width) sum += load(h.grad_weights + j * h.slots + i);
    a.grad_key_bias[(of.first + j) * a.num_heads + head] = static_cast<T>(sum_wide<T>(sum));
  }
}

template <class T>
void attend_backward(const attend_args<T>& a, const attend_slots& of, int64_t head, void* scratch) {
  const attend_head<T> h(scratch, of.count, a.head_dim, true);
  weigh_slots(a, of, head, h);
  const auto grad = [&](int64_t i) __attribute__((always_inline)) {
    return a.grad + ((of.first + i) * a.num_heads + head) * a.head_dim;
  };
  read_slots(of.count, a.head_dim, h.columns, T(1), grad, h.grad);
  zero_slots(of.count, h.slots, h.columns, h.grad);
  sum_slots(h, of.count, h.weights, h.slots, 1, h.grad);
  add_result(a, of, head, 2, T(1), h);
  transpose(h.grad, h.columns, h.slots, h.columns, h.grad_t, h.slots);
  multiply<T>({.a = h.value,
               .a_row = h.columns,
               .a_step = 1,
               .b = h.grad_t,
               .b_stride = h.slots,
               .c = h.grad_weights,
               .c_stride = h.slots,
               .rows = of.count,
               .steps = a.head_dim,
               .columns = h.slots,
               .accumulate = false});
  softmax_grad_down(h, of.count);
  if (a.grad_key_bias != nullptr) write_bias_grad(a, of, head, h);
  sum_slots(h, of.count, h.grad_weights, 1, h.slots, h.key);
  add_result(a, of, head, 0, attend_scale(a), h);
  sum_slots(h, of.count, h.grad_weights, h.slots, 1, h.query);  // these are scaled
  add_result(a, of, head, 1, T(1), h);
}

// Calls from memory what a head of the next segment reads, and adds to.
template <class T>
PYREC_INLINE void prefetch_slots(const attend_args<T>& a, const attend_slots& next, int64_t head) {
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t i = next.first; i < next.first + next.count; ++i) {
    for (int part = 0; part < 3; ++part) {
      const int64_t at = part_at(a, i, head, part);
      for (int64_t c = 0; c < a.head_dim; c += line) {
        __builtin_prefetch(a.qkv + at + c);
        if (a.grad_qkv != nullptr) __builtin_prefetch(a.grad_qkv + at + c, 1);
      }
    }
    if (a.grad == nullptr) continue;
    const T* grad = a.grad + (i * a.num_heads + head) * a.head_dim;
    for (int64_t c = 0; c < a.head_dim; c += line) __builtin_prefetch(grad + c);
  }
}

// body(slots, head, scratch) for each segment that is not empty and each head of a task's ranges, segment by segment.
template <class T, class Body>
PYREC_INLINE void for_heads(const attend_args<T>& a, int64_t first_segment, int64_t last_segment,
                            int64_t first_head, int64_t last_head, const Body& body) {
  const auto slots_of = [&](int64_t s) { return attend_slots{a.indptr[s], a.indptr[s + 1] - a.indptr[s]}; };
  for (int64_t s = first_segment; s < last_segment; ++s) {
    const attend_slots of = slots_of(s);
    const attend_slots next = s + 1 < last_segment ? slots_of(s + 1) : attend_slots{};
    for (int64_t head = first_head; head < last_head; ++head) {
      prefetch_slots(a, next, head);
      if (of.count > 0) body(of, head);
    }
  }
}

// Tasks of some segments and some heads, the segments of a task one after the other.
template <class T, class Body>
PYREC_INLINE void for_tasks(const attend_args<T>& a, int64_t segments_per_task, int64_t heads_per_task,
                            const Body& body) {
  const int64_t ranges = ceil_div(a.num_segments, segments_per_task);
  const int64_t blocks = ceil_div(a.num_heads, heads_per_task);
  const int64_t bytes = attend_scratch(a);
  parallel_for_workers(ranges * blocks, static_cast<int>(a.num_workers), [&](int64_t task, int worker) {
    const int64_t segment = task / blocks * segments_per_task;
    const int64_t head = task % blocks * heads_per_task;
    const int64_t last_segment = segment + segments_per_task;
    const int64_t last_head = head + heads_per_task;
    body(segment, last_segment < a.num_segments ? last_segment : a.num_segments, head,
         last_head < a.num_heads ? last_head : a.num_heads, static_cast<char*>(a.scratch) + worker * bytes);
  });
}

template <class T>
void attend(const attend_args<T>& a) {
  for_tasks(a, attend_segments_per_task, a.num_heads,
            [&](int64_t segment, int64_t last_segment, int64_t head, int64_t last_head, void* scratch) {
              for_heads(a, segment, last_segment, head, last_head,
                        [&](const attend_slots& of, int64_t one) { attend_forward(a, of, one, scratch); });
            });
}

template <class T>
PYREC_INLINE void zero_columns(const attend_args<T>& a, int64_t head, int64_t last_head) {
  for (int64_t row = 0; row < a.num_rows * 3; ++row) {
    T* to = a.grad_qkv + (row * a.num_heads + head) * a.head_dim;
    for (int64_t c = 0; c < (last_head - head) * a.head_dim; ++c) to[c] = T(0);
  }
}

// Where slots may share a row, a task goes through all segments: it alone adds to the columns of its heads.
template <class T>
void attend_grad(const attend_args<T>& a) {
  if (a.num_slots == 0) return zero_columns(a, 0, a.num_heads);
  const bool shared = a.index != nullptr;
  for_tasks(a, shared ? a.num_segments : attend_segments_per_task,
            shared ? ceil_div(a.num_heads, a.num_workers) : a.num_heads,
            [&](int64_t segment, int64_t last_segment, int64_t head, int64_t last_head, void* scratch) {
              if (shared) zero_columns(a, head, last_head);
              for_heads(a, segment, last_segment, head, last_head,
                        [&](const attend_slots& of, int64_t one) { attend_backward(a, of, one, scratch); });
            });
}

constexpr attend_kernels attend_table{
    .forward = {attend<float>, attend<double>},
    .backward = {attend_grad<float>, attend_grad<double>},
    .scratch_f32 = attend_scratch<float>,
    .scratch_f64 = attend_scratch<double>,
};

}  // namespace pyrec::PYREC_ISA
