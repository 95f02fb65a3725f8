// A block takes a segment, and four lanes a slot of a head: a quarter of its columns each. Backward, slots that share a
// row write what they add side by side, some heads at a time, and it is summed by row (cuda_row_sums.cuh).
#include <limits>

#include "attend/attend.hpp"
#include "common/cuda_row_sums.cuh"

namespace pyrec::cuda {

namespace {

constexpr int threads = 128;
constexpr int lanes = 4;  // of a slot
constexpr int slots_at_once = threads / lanes;
constexpr int64_t most_term_bytes = int64_t{64} << 20;  // of the terms of some heads
constexpr int64_t most_heads_at_once = 16;              // bounds what is shared by a block

// The slots of a block's segment, within those that there are; unsound where a row or the segment itself is.
struct segment_slots {
  int64_t first;
  int count;
  bool sound;
};

template <class T>
__device__ __forceinline__ segment_slots slots_of_block(const attend_args<T>& a) {
  const int64_t start = a.indptr[blockIdx.x], end = a.indptr[blockIdx.x + 1];
  const bool begins = blockIdx.x == 0, ends = blockIdx.x + 1 == a.num_segments;
  const int64_t first = begins || start < 0 ? 0 : start;
  const int64_t last = ends || end > a.num_slots ? a.num_slots : end;
  const int64_t count = last > first ? last - first : 0;
  int wrong = start != first || end != last || end < start || count > attend_most_slots;
  if (!wrong && a.index != nullptr) {
    for (int64_t i = static_cast<int>(threadIdx.x); i < count; i += threads) {
      const int64_t row = a.index[first + i];
      if (row < 0 || row >= a.num_rows) wrong = 1;
    }
  }
  const bool sound = __syncthreads_or(wrong) == 0;
  return {first, static_cast<int>(count), sound};
}

// What stands for the gradient or the output of an unsound segment.
template <class T>
__device__ __forceinline__ void fill_nan(T* to, int64_t count) {
  for (int64_t i = static_cast<int>(threadIdx.x); i < count; i += threads) to[i] = static_cast<T>(NAN);
}

__device__ __forceinline__ int64_t lane_of_slot() { return static_cast<int>(threadIdx.x) % lanes; }

// This lane's columns of a row of head_dim.
template <int C, class T>
__device__ __forceinline__ void read_columns(const T* from, int64_t head_dim, T (&to)[C]) {
#pragma unroll
  for (int i = 0; i < C; ++i) {
    const int64_t c = lane_of_slot() + lanes * i;
    to[i] = c < head_dim ? from[c] : T(0);
  }
}

template <int C, class T>
__device__ __forceinline__ void write_columns(T* to, int64_t head_dim, T factor, const T (&from)[C]) {
#pragma unroll
  for (int i = 0; i < C; ++i) {
    const int64_t c = lane_of_slot() + lanes * i;
    if (c < head_dim) to[c] = from[i] * factor;
  }
}

template <int C, class T>
__device__ __forceinline__ T product(const T (&x)[C], const T (&y)[C]) {
  T sum = 0;
#pragma unroll
  for (int i = 0; i < C; ++i) sum = multiply_add(x[i], y[i], sum);
  return group_sum<lanes>(sum);
}

template <int C, class T>
__device__ __forceinline__ void add_scaled(T factor, const T (&x)[C], T (&to)[C]) {
#pragma unroll
  for (int i = 0; i < C; ++i) to[i] = multiply_add(factor, x[i], to[i]);
}

// A head of the segment in hand.
template <class T>
struct head_slots {
  const attend_args<T>& a;
  int64_t first;
  int64_t head;

  __device__ __forceinline__ const T* part(int i, int which) const {
    const int64_t row = a.index == nullptr ? first + i : a.index[first + i];
    return a.qkv + ((row * 3 + which) * a.num_heads + head) * a.head_dim;
  }
  __device__ __forceinline__ const T* grad(int i) const {
    return a.grad + ((first + i) * a.num_heads + head) * a.head_dim;
  }
  __device__ __forceinline__ T bias(int i) const {
    return a.key_bias == nullptr ? T(0) : a.key_bias[(first + i) * a.num_heads + head];
  }
};

template <class T>
__device__ __forceinline__ T scale_of(const attend_args<T>& a) {
  return static_cast<T>(1 / sqrt(static_cast<double>(a.head_dim)));
}

// A softmax that grows score by score: most is the largest so far, sum that of exp(score - most).
template <class T>
struct running_softmax {
  static constexpr T lowest = std::numeric_limits<T>::lowest();
  T most = lowest;
  T sum = 0;

  // Returns what sums so far are to be multiplied by; `power` becomes exp(score - most).
  __device__ __forceinline__ T take(T score, T& power) {
    const T before = most;
    most = score > most ? score : most;
    const T factor = exp(before - most);
    power = exp(score - most);
    sum = multiply_add(sum, factor, power);
    return factor;
  }
};

// Body(real, slot, head) for each slot of each head of [first_head, last_head); lanes without one go along idly, real
// being false, so that those of a warp take the same steps.
template <class Body>
__device__ __forceinline__ void for_slots(int count, int64_t first_head, int64_t last_head,
                                          const Body& body) {
  const int64_t pairs = count * (last_head - first_head);
  for (int64_t done = 0; done < pairs; done += slots_at_once) {
    const int64_t pair = done + static_cast<int>(threadIdx.x) / lanes;
    const bool real = pair < pairs;
    const int64_t of = real ? pair : 0;
    body(real, static_cast<int>(of % count), first_head + of / count);
  }
}

template <int C, class T>
__global__ void __launch_bounds__(threads, 3) attend_segments(const attend_args<T> a) {
  const segment_slots of = slots_of_block(a);
  const int64_t width = a.num_heads * a.head_dim;
  if (!of.sound) return fill_nan(a.out + of.first * width, of.count * width);
  const T scale = scale_of(a);
  for_slots(of.count, 0, a.num_heads, [&](bool real, int slot, int64_t head) {
    const head_slots<T> rows{a, of.first, head};
    T query[C], row[C], out[C] = {};
    read_columns(rows.part(slot, 0), a.head_dim, query);
    running_softmax<T> softmax;
    for (int j = 0; j < of.count; ++j) {
      read_columns(rows.part(j, 1), a.head_dim, row);
      T power;
      const T factor = softmax.take(multiply_add(scale, product(query, row), rows.bias(j)), power);
      read_columns(rows.part(j, 2), a.head_dim, row);
#pragma unroll
      for (int i = 0; i < C; ++i) out[i] = multiply_add(out[i], factor, power * row[i]);
    }
    if (real)
      write_columns(a.out + (of.first + slot) * width + head * a.head_dim, a.head_dim, 1 / softmax.sum, out);
  });
}

// Where the gradients of the slots' queries, keys and values of some heads go: (num_slots, 3, width).
template <class T>
struct term_target {
  T* terms;
  int64_t width;
  int64_t first_head;
  int64_t last_head;

  __device__ __forceinline__ T* at(const attend_args<T>& a, int64_t slot, int part, int64_t head) const {
    return terms + (slot * 3 + part) * width + (head - first_head) * a.head_dim;
  }
};

// Of each query, in shared memory: A_ij = exp(s_ij - height), and sum_m A_im dA_im.
template <class T>
struct query_sums {
  T height;
  T mean;
};

template <int C, class T>
__device__ __forceinline__ void query_grads(const attend_args<T>& a, const segment_slots& of,
                                            const term_target<T>& to, query_sums<T>* sums) {
  const T scale = scale_of(a);
  for_slots(of.count, to.first_head, to.last_head, [&](bool real, int slot, int64_t head) {
    const head_slots<T> rows{a, of.first, head};
    T query[C], grad[C], row[C], out[C] = {};
    read_columns(rows.part(slot, 0), a.head_dim, query);
    read_columns(rows.grad(slot), a.head_dim, grad);
    running_softmax<T> softmax;
    T mean = 0;
    for (int j = 0; j < of.count; ++j) {
      T power;
      read_columns(rows.part(j, 1), a.head_dim, row);
      const T factor = softmax.take(multiply_add(scale, product(query, row), rows.bias(j)), power);
      read_columns(rows.part(j, 2), a.head_dim, row);
      mean = multiply_add(mean, factor, power * product(grad, row));
    }
    mean /= softmax.sum;
    const T height = softmax.most + log(softmax.sum);
    for (int j = 0; j < of.count; ++j) {
      read_columns(rows.part(j, 2), a.head_dim, row);
      const T by_weight = product(grad, row) - mean;
      read_columns(rows.part(j, 1), a.head_dim, row);
      const T score = multiply_add(scale, product(query, row), rows.bias(j));
      const T weight = exp(score - height);
      add_scaled(weight * by_weight, row, out);
    }
    if (real) write_columns(to.at(a, of.first + slot, 0, head), a.head_dim, scale, out);
    if (real && lane_of_slot() == 0) sums[(head - to.first_head) * attend_most_slots + slot] = {height, mean};
  });
}

template <int C, class T>
__device__ __forceinline__ void key_grads(const attend_args<T>& a, const segment_slots& of,
                                          const term_target<T>& to, const query_sums<T>* sums) {
  const T scale = scale_of(a);
  for_slots(of.count, to.first_head, to.last_head, [&](bool real, int slot, int64_t head) {
    const head_slots<T> rows{a, of.first, head};
    T key[C], value[C], row[C], by_key[C] = {}, by_value[C] = {};
    read_columns(rows.part(slot, 1), a.head_dim, key);
    read_columns(rows.part(slot, 2), a.head_dim, value);
    const T bias = rows.bias(slot);
    T by_bias = 0;
    for (int i = 0; i < of.count; ++i) {
      const query_sums<T> query = sums[(head - to.first_head) * attend_most_slots + i];
      read_columns(rows.grad(i), a.head_dim, row);
      const T by_weight = product(value, row) - query.mean;
      T taken[C];
      read_columns(rows.part(i, 0), a.head_dim, taken);
      const T weight = exp(multiply_add(scale, product(key, taken), bias) - query.height);
      add_scaled(weight, row, by_value);
      add_scaled(weight * by_weight, taken, by_key);
      by_bias = multiply_add(weight, by_weight, by_bias);
    }
    if (real) write_columns(to.at(a, of.first + slot, 1, head), a.head_dim, scale, by_key);
    if (real) write_columns(to.at(a, of.first + slot, 2, head), a.head_dim, T(1), by_value);
    if (real && a.grad_key_bias != nullptr && lane_of_slot() == 0) {
      a.grad_key_bias[(of.first + slot) * a.num_heads + head] = by_bias;
    }
  });
}

template <int C, class T>
__global__ void __launch_bounds__(threads)
    attend_segments_grad(const attend_args<T> a, const term_target<T> to) {
  DYNAMIC_SHARED(query_sums<T>, sums);
  const segment_slots of = slots_of_block(a);
  if (!of.sound) {
    for (int64_t i = of.first; i < of.first + of.count; ++i) {
      const int64_t heads = to.last_head - to.first_head;
      for (int part = 0; part < 3; ++part) fill_nan(to.at(a, i, part, to.first_head), heads * a.head_dim);
      if (a.grad_key_bias != nullptr) fill_nan(a.grad_key_bias + i * a.num_heads + to.first_head, heads);
    }
    return;
  }
  query_grads<C>(a, of, to, sums);
  __syncthreads();
  key_grads<C>(a, of, to, sums);
}

// Calls body.operator()<C>() with the columns of a lane.
template <class Body>
void with_columns(int64_t head_dim, const Body& body) {
  if (head_dim <= 16) return body.template operator()<4>();
  if (head_dim <= 20) return body.template operator()<5>();
  if (head_dim <= 32) return body.template operator()<8>();
  body.template operator()<16>();
}

template <class T>
void attend(const attend_args<T>& a) {
  if (a.num_segments == 0 || a.num_slots == 0) return;
  with_columns(a.head_dim, [&]<int C>() {
    const auto kernel = attend_segments<C, T>;
    LAUNCH(kernel, static_cast<unsigned>(a.num_segments), threads, 0, a.stream, a);
  });
}

template <class T>
struct scratch {
  row_sums sums;
  T* terms;       // (num_added, 3, heads * head_dim)
  int64_t heads;  // at once
};

// Heads whose terms fit the bound.
template <class T>
int64_t heads_at_once(const attend_args<T>& a) {
  const int64_t most = a.num_heads < most_heads_at_once ? a.num_heads : most_heads_at_once;
  if (a.num_added == 0) return most;
  const int64_t of_head = a.num_added * 3 * a.head_dim * static_cast<int64_t>(sizeof(T));
  const int64_t fit = most_term_bytes / of_head;
  return fit < 1 ? 1 : fit < most ? fit : most;
}

template <class T>
scratch<T> lay_out(const attend_args<T>& a, buffer_parts& parts) {
  const int64_t heads = heads_at_once(a);
  return {.sums = take_row_sums(parts, a.num_added, a.num_added > 0 ? a.num_rows : 0),
          .terms = parts.take<T>(a.num_added * 3 * heads * a.head_dim),
          .heads = heads};
}

template <class T>
void start_grad(const attend_args<T>& a, const term_target<T>& to) {
  const int64_t heads = to.last_head - to.first_head;
  const auto bytes = static_cast<size_t>(heads * attend_most_slots) * sizeof(query_sums<T>);
  with_columns(a.head_dim, [&]<int C>() {
    const auto kernel = attend_segments_grad<C, T>;
    LAUNCH(kernel, static_cast<unsigned>(a.num_segments), threads, bytes, a.stream, a, to);
  });
}

template <class T>
void attend_grad(const attend_args<T>& a) {
  if (a.num_rows == 0) return;
  const int64_t width = a.num_heads * a.head_dim;
  if (a.num_segments == 0 || a.num_slots == 0) {
    const auto bytes = static_cast<size_t>(a.num_rows * 3 * width) * sizeof(T);
    return check(cudaMemsetAsync(a.grad_qkv, 0, bytes, static_cast<cudaStream_t>(a.stream)),
                 "cudaMemsetAsync of grad_qkv");
  }
  buffer_parts parts(a.scratch);
  const scratch<T> of = lay_out(a, parts);
  if (a.num_added > 0) order_by_row(of.sums, a.index, a.stream);
  for (int64_t head = 0; head < a.num_heads; head += of.heads) {
    const int64_t last = head + of.heads < a.num_heads ? head + of.heads : a.num_heads;
    const int64_t columns = (last - head) * a.head_dim;
    if (a.num_added == 0) {
      start_grad(a, {a.grad_qkv + head * a.head_dim, width, head, last});
      continue;
    }
    start_grad(a, {of.terms, columns, head, last});
    for (int part = 0; part < 3; ++part) {
      T* const out = a.grad_qkv + part * width + head * a.head_dim;
      sum_by_row<T>(of.sums, {of.terms + part * columns, 3 * columns}, {out, 3 * width}, columns, a.stream);
    }
  }
}

template <class T>
int64_t scratch_bytes(const attend_args<T>& a) {
  buffer_parts parts(nullptr);
  if (a.num_added > 0) lay_out(a, parts);
  return parts.bytes();
}

}  // namespace

attend_kernels attend() {
  return {
      .checks_input = true,
      .forward = {attend<float>, attend<double>},
      .backward = {attend_grad<float>, attend_grad<double>},
      .scratch_f32 = scratch_bytes<float>,
      .scratch_f64 = scratch_bytes<double>,
  };
}

}  // namespace pyrec::cuda
