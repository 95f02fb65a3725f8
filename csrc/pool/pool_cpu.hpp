#pragma once
// Rows are scored, and get their gradients, in blocks that the caches hold; segments are pooled between. Without an
// index a thread scores the rows of some segments and pools them at once; with one all rows are scored before.
#include "common/parallel.hpp"
#include "pool/scores_cpu.hpp"
#include "pool/segment_cpu.hpp"

namespace pyrec::PYREC_ISA {

template <class T>
int64_t pool_scratch_size(const pool_input<T>& input, bool backward, int num_workers) {
  return pool_scratch<T>(input, backward).regions.size(num_workers);
}

template <class T>
void pack_parameters(const pool_input<T>& in, bool backward, const pool_scratch<T>& s) {
  const score_weights<T>& w = in.attention;
  if (w.vector == nullptr) return;
  if (w.weight != nullptr) {
    pack_scores(w.weight, w.bias, w.vector, w.heads, w.hidden, in.dim, backward, s);
  } else {
    pack(w.vector, in.dim, 1, w.heads, in.dim, s.vector, s.dim);
  }
  const int64_t num_columns = w.weight != nullptr ? w.hidden : in.dim;
  if (w.heads > 1) pack(w.vector, 1, num_columns, num_columns, w.heads, s.vector_t, s.heads);
}

// Rows [first, first + s.rows) into x.
template <class T>
void read_block(const pool_input<T>& in, int64_t first, const pool_scratch<T>& s) {
  for (int64_t i = 0; i < s.rows; ++i) read_row(in.x + (first + i) * in.dim, in.dim, s.x + i * s.dim, s.dim);
}

// scores: (rows,) = v . x, lanes past the last row are not looked at.
template <class T>
void score_linear(const pool_scratch<T>& s) {
  constexpr int width = simd<T>::width;
  for (int64_t row = 0; row < s.rows; row += width) {
    vec<T> sums[width] = {};
    for (int i = 0; i < width; ++i) {
      const T* x = s.x + (row + i) * s.dim;
      for (int64_t j = 0; j < s.dim; j += width)
        sums[i] = multiply_add(load(s.vector + j), load(x + j), sums[i]);
    }
    store(s.scores + row, sum_lanes<T>(sums));
  }
}

// projected becomes t.
template <class T>
void tanh_rows(const pool_scratch<T>& s) {
  constexpr int width = simd<T>::width;
  for (int64_t row = 0; row < s.rows; ++row) {
    T* projected = s.projected + row * s.hidden;
    for (int64_t h = 0; h < s.hidden; h += width) {
      store(projected + h, tanh<T>(load(projected + h) + load(s.bias + h)));
    }
  }
}

// scores: (rows, heads) = features v^T, for features (rows, steps).
template <class T>
void score_heads(const T* features, int64_t stride, int64_t steps, const pool_scratch<T>& s) {
  multiply<T>({.a = features,
               .a_row = stride,
               .a_step = 1,
               .b = s.vector_t,
               .b_stride = s.heads,
               .c = s.scores,
               .c_stride = s.heads,
               .rows = s.rows,
               .steps = steps,
               .columns = s.heads,
               .accumulate = false});
}

template <class T>
void score_block(const pool_args<T>& a, int64_t first, const pool_scratch<T>& s) {
  const pool_input<T>& in = a.input;
  const score_weights<T>& w = in.attention;
  read_block(in, first, s);
  if (w.weight != nullptr) {
    project_rows(s, in.dim);
    if (w.heads > 1) tanh_rows(s);
  }
  if (w.heads > 1) {
    w.weight != nullptr ? score_heads(s.projected, s.hidden, w.hidden, s)
                        : score_heads(s.x, s.dim, in.dim, s);
  } else {
    w.weight != nullptr ? score_rows(s) : score_linear(s);
  }
  for (int64_t i = 0; i < s.rows; ++i) {
    write_row(s.scores + i * s.score_stride, a.scores + (first + i) * w.heads, w.heads);
  }
}

// body(first, arrays) for blocks of the rows [first, last).
template <class T, class Body>
PYREC_INLINE void for_row_blocks(int64_t first, int64_t last, const pool_scratch<T>& arrays,
                                 const Body& body) {
  pool_scratch<T> s = arrays;
  for (; first < last; first += s.rows) {
    s.rows = last - first < pool_block_rows ? last - first : pool_block_rows;
    body(first, s);
  }
}

// The first segment whose slots begin at `slot` or later; num_segments if none does.
template <class T>
PYREC_INLINE int64_t first_segment(const pool_input<T>& in, int64_t slot) {
  int64_t low = 0, high = in.num_segments;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (in.indptr[middle] < slot) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Segments [begin, end) that begin in a chunk of slots.
struct segment_range {
  int64_t begin;
  int64_t end;
};

template <class T>
PYREC_INLINE segment_range segments_of_chunk(const pool_input<T>& in, int64_t chunk) {
  const bool last = chunk + 1 == chunks_of_slots(in.num_slots);
  return {first_segment(in, chunk * pool_chunk_rows),
          last ? in.num_segments : first_segment(in, (chunk + 1) * pool_chunk_rows)};
}

// Rows [begin, end) of a chunk of the backward pass.
template <class T>
PYREC_INLINE slot_range rows_of_chunk(const pool_input<T>& in, int64_t chunk) {
  if (in.index == nullptr) {
    const segment_range segments = segments_of_chunk(in, chunk);
    return {in.indptr[segments.begin], in.indptr[segments.end]};
  }
  const int64_t end = (chunk + 1) * pool_chunk_rows;
  return {chunk * pool_chunk_rows, end < in.num_rows ? end : in.num_rows};
}

template <class T>
void pool(const pool_args<T>& a) {
  const pool_input<T>& in = a.input;
  const pool_scratch<T> layout(in, false);
  const auto arrays = [&](int worker) { return layout.at(in, false, a.scratch, 0, worker); };
  pack_parameters(in, false, arrays(0));
  const bool scores_rows = in.attention.vector != nullptr;
  const auto score_chunk = [&](int64_t first, int64_t last, const pool_scratch<T>& s) {
    for_row_blocks(first, last, s,
                   [&](int64_t row, const pool_scratch<T>& block) { score_block(a, row, block); });
  };
  if (scores_rows && in.index != nullptr) {
    parallel_ranges_workers(
        in.num_rows, pool_chunk_rows, a.num_workers,
        [&](int64_t first, int64_t last, int worker) { score_chunk(first, last, arrays(worker)); });
  }
  parallel_for_workers(chunks_of_slots(in.num_slots), a.num_workers, [&](int64_t chunk, int worker) {
    const segment_range segments = segments_of_chunk(in, chunk);
    const pool_scratch<T> s = arrays(worker);
    if (scores_rows && in.index == nullptr) {
      score_chunk(in.indptr[segments.begin], in.indptr[segments.end], s);
    }
    for (int64_t segment = segments.begin; segment < segments.end; ++segment) pool_segment(a, segment, s);
  });
}

// The slots of each row, in their order.
template <class T>
void sort_slots(const pool_input<T>& in, const pool_scratch<T>& s) {
  for (int64_t r = 0; r <= in.num_rows; ++r) s.start[r] = 0;
  for (int64_t i = 0; i < in.num_slots; ++i) ++s.start[in.index[i]];
  int32_t end = 0;
  for (int64_t r = 0; r <= in.num_rows; ++r) s.start[r] = end += s.start[r];
  for (int64_t i = in.num_slots - 1; i >= 0; --i) s.slots[--s.start[in.index[i]]] = static_cast<int32_t>(i);
}

// body(row, slot) for the slots of the block's rows, row counted from `first`.
template <class T, class Body>
PYREC_INLINE void for_slots_of_rows(const pool_input<T>& in, int64_t first, const pool_scratch<T>& s,
                                    const Body& body) {
  for (int64_t row = 0; row < s.rows; ++row) {
    if (in.index == nullptr) {
      body(row, first + row);
      continue;
    }
    for (int32_t i = s.start[first + row]; i < s.start[first + row + 1]; ++i) body(row, s.slots[i]);
  }
}

// scores: (rows, score_stride) = ds of the block's rows.
template <class T>
void read_score_grads(const pool_grad_args<T>& a, int64_t first, const pool_scratch<T>& s) {
  const int64_t num_heads = a.input.attention.heads;
  fill_zero(s.scores, s.rows * s.score_stride);
  for_slots_of_rows(a.input, first, s, [&](int64_t row, int64_t slot) {
    T* sum = s.scores + row * s.score_stride;
    const T* grad = a.grad_offset + slot * num_heads;
    for (int64_t k = 0; k < num_heads; ++k) sum[k] += grad[k];
  });
}

// grad_x: (rows, dim) of the row += sum_k alpha_k g_k of so many rows, with alpha (count, heads).
template <class T>
void add_pooled_grads(const T* alpha, int64_t num_heads, const T* grad, int64_t stride, int64_t row,
                      int64_t count, const pool_scratch<T>& s) {
  multiply<T>({.a = alpha,
               .a_row = num_heads,
               .a_step = 1,
               .b = grad,
               .b_stride = stride,
               .c = s.grad_x + row * s.dim,
               .c_stride = s.dim,
               .rows = count,
               .steps = num_heads,
               .columns = s.dim,
               .accumulate = true});
}

// grad_x: (rows, dim) = sum_k alpha_k g_k over the slots of the block's rows.
template <class T>
void spread_grads(const pool_grad_args<T>& a, int64_t first, const pool_scratch<T>& s) {
  const pool_input<T>& in = a.input;
  const int64_t num_heads = in.attention.heads;
  fill_zero(s.grad_x, s.rows * s.dim);
  int64_t copied = -1;  // segment whose gradient lies in pooled
  const auto grad_of = [&](int64_t segment) {
    const T* grad = a.grad + segment * num_heads * in.dim;
    if (in.dim == s.dim) return grad;
    if (segment != copied) {
      for (int64_t k = 0; k < num_heads; ++k)
        read_row(grad + k * in.dim, in.dim, s.pooled + k * s.dim, s.dim);
    }
    copied = segment;
    return static_cast<const T*>(s.pooled);
  };
  if (in.index != nullptr) {
    return for_slots_of_rows(in, first, s, [&](int64_t row, int64_t slot) {
      add_pooled_grads(a.alpha + slot * num_heads, num_heads, grad_of(s.segment[slot]), s.dim, row, 1, s);
    });
  }
  for (int64_t row = 0; row < s.rows;) {
    const int64_t segment = s.segment[first + row];
    const int64_t end = in.indptr[segment + 1] - first;
    const int64_t count = (end < s.rows ? end : s.rows) - row;
    add_pooled_grads(a.alpha + (first + row) * num_heads, num_heads, grad_of(segment), s.dim, row, count, s);
    row += count;
  }
}

// Sums of ds^T features: dv grows, for features (rows, columns).
template <class T>
void add_vector_grads(const T* features, int64_t columns, int64_t num_heads, const pool_scratch<T>& s) {
  multiply<T>({.a = s.scores,
               .a_row = 1,
               .a_step = s.score_stride,
               .b = features,
               .b_stride = columns,
               .c = s.grad_vector,
               .c_stride = columns,
               .rows = num_heads,
               .steps = s.rows,
               .columns = columns,
               .accumulate = true});
}

// to: (rows, columns) (+)= ds v
template <class T>
void spread_score_grads(int64_t columns, int64_t num_heads, bool accumulate, const pool_scratch<T>& s,
                        T* to) {
  multiply<T>({.a = s.scores,
               .a_row = s.score_stride,
               .a_step = 1,
               .b = s.vector,
               .b_stride = columns,
               .c = to,
               .c_stride = columns,
               .rows = s.rows,
               .steps = num_heads,
               .columns = columns,
               .accumulate = accumulate});
}

// score_hidden_grads of several heads.
template <class T>
void hidden_grads_of_heads(int64_t num_heads, const pool_scratch<T>& s) {
  constexpr int width = simd<T>::width;
  tanh_rows(s);
  add_vector_grads(s.projected, s.hidden, num_heads, s);
  spread_score_grads(s.hidden, num_heads, false, s, s.grad_hidden);
  for (int64_t h = 0; h < s.hidden; h += width) {
    vec<T> grad_bias{};
    for (int64_t row = 0; row < s.rows; ++row) {
      const int64_t at = row * s.hidden + h;
      const vec<T> t = load(s.projected + at);
      const vec<T> z = load(s.grad_hidden + at) * multiply_add(-t, t, broadcast(T(1)));
      grad_bias += z;
      store(s.projected + at, z);
    }
    store(s.grad_bias + h, load(s.grad_bias + h) + grad_bias);
  }
}

// What comes by the scores of the block's rows.
template <class T>
void score_grads(const pool_grad_args<T>& a, const pool_scratch<T>& s) {
  const score_weights<T>& w = a.input.attention;
  if (w.weight == nullptr) {
    add_vector_grads(s.x, s.dim, w.heads, s);
    if (a.grad_x != nullptr) spread_score_grads(s.dim, w.heads, true, s, s.grad_x);
    return;
  }
  project_rows(s, a.input.dim);
  w.heads > 1 ? hidden_grads_of_heads(w.heads, s) : score_hidden_grads(s);
  if (a.grad_weight != nullptr) score_weight_grads(s, w.hidden);
  if (a.grad_x != nullptr) score_row_grads(s, w.hidden, true);
}

template <class T>
void row_grads(const pool_grad_args<T>& a, int64_t first, const pool_scratch<T>& s) {
  const pool_input<T>& in = a.input;
  const int64_t num_heads = in.attention.heads;
  read_score_grads(a, first, s);
  if (a.grad_scores != nullptr) {
    for (int64_t i = 0; i < s.rows; ++i) {
      write_row(s.scores + i * s.score_stride, a.grad_scores + (first + i) * num_heads, num_heads);
    }
  }
  if (a.grad_x != nullptr) spread_grads(a, first, s);
  if (in.attention.vector != nullptr) {
    read_block(in, first, s);
    score_grads(a, s);
  }
  if (a.grad_x == nullptr) return;
  for (int64_t i = 0; i < s.rows; ++i)
    write_row(s.grad_x + i * s.dim, a.grad_x + (first + i) * in.dim, in.dim);
}

template <class T>
void pool_grad(const pool_grad_args<T>& a) {
  const pool_input<T>& in = a.input;
  const pool_scratch<T> layout(in, true);
  const scratch_regions& regions = layout.regions;
  const pool_scratch<T> shared = layout.at(in, true, a.scratch, 0, 0);
  const bool rows_too = a.grad_x != nullptr || a.grad_vector != nullptr || a.grad_scores != nullptr;
  const auto segments_of = [&](int64_t chunk, const pool_scratch<T>& s) {
    const segment_range segments = segments_of_chunk(in, chunk);
    for (int64_t segment = segments.begin; segment < segments.end; ++segment) segment_grads(a, segment, s);
  };
  pack_parameters(in, true, shared);
  if (in.index != nullptr || !rows_too) {
    parallel_for_workers(chunks_of_slots(in.num_slots), a.num_workers, [&](int64_t chunk, int worker) {
      segments_of(chunk, layout.at(in, true, a.scratch, 0, worker));
    });
  }
  if (!rows_too) return;
  if (in.index != nullptr) sort_slots(in, shared);
  parallel_for_workers(regions.num_stripes, a.num_workers, [&](int64_t stripe, int worker) {
    fill_zero(a.scratch + regions.stripe_at(stripe), regions.stripe);
    const pool_scratch<T> s = layout.at(in, true, a.scratch, stripe, worker);
    const int64_t last = (stripe + 1) * layout.num_chunks / regions.num_stripes;
    for (int64_t chunk = stripe * layout.num_chunks / regions.num_stripes; chunk < last; ++chunk) {
      if (in.index == nullptr) segments_of(chunk, s);
      const slot_range rows = rows_of_chunk(in, chunk);
      for_row_blocks(rows.begin, rows.end, s,
                     [&](int64_t first, const pool_scratch<T>& block) { row_grads(a, first, block); });
    }
  });
  const score_weights<T>& w = in.attention;
  if (a.grad_vector == nullptr) return;
  const int64_t num_columns = w.weight != nullptr ? w.hidden : in.dim;
  add_stripes(regions, shared.grad_vector, w.heads, num_columns, shared.columns(), a.grad_vector, num_columns,
              1);
  if (a.grad_weight == nullptr) return;
  add_stripes(regions, shared.grad_weight, w.hidden, in.dim, shared.dim, a.grad_weight, in.dim, 1);
  add_stripes(regions, shared.grad_bias, 1, w.hidden, shared.hidden, a.grad_bias, 0, 1);
}

}  // namespace pyrec::PYREC_ISA
