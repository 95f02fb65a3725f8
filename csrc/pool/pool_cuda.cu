// A warp takes a head of a segment, and a row in the backward pass, whose sums by row are added in the order of the
// slots (cuda_segments.cuh). Scores are given: torch's BLAS multiplies on a device.
#include "common/cuda_segments.cuh"
#include "common/cuda_vector.cuh"
#include "pool/pool.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 128;
constexpr int warps = threads / warp;

__device__ __forceinline__ int lane_of() { return static_cast<int>(threadIdx.x) % warp; }
__device__ __forceinline__ int64_t warp_of() { return grid_thread() / warp; }

template <class T>
__device__ __forceinline__ T not_a_number() {
  return static_cast<T>(__longlong_as_double(0x7FF8000000000000));
}

template <class T>
__device__ __forceinline__ T group_max(T value) {
#pragma unroll
  for (int distance = warp / 2; distance > 0; distance /= 2) {
    const T other = __shfl_xor_sync(all_lanes, value, distance);
    value = value < other ? other : value;
  }
  return value;
}

// Slots [begin, end) of a segment; sound: within those there are.
struct slot_range {
  int64_t begin;
  int64_t end;
  bool sound;
};

template <class T>
__device__ __forceinline__ slot_range slots_of(const pool_input<T>& in, int64_t segment) {
  const int64_t begin = in.indptr[segment];
  const int64_t end = in.indptr[segment + 1];
  return {begin, end, 0 <= begin && begin <= end && end <= in.num_slots};
}

// The row of a slot, -1 where it names none.
template <class T>
__device__ __forceinline__ int64_t row_of_slot(const pool_input<T>& in, int64_t slot) {
  if (in.index == nullptr) return slot;
  const int64_t row = in.index[slot];
  return row >= 0 && row < in.num_rows ? row : -1;
}

// Columns [c, c + V) of a slot's row, zeros where it names none.
template <int V, class T>
__device__ __forceinline__ pack<T, V> columns_of_slot(const pool_input<T>& in, int64_t slot, int64_t c) {
  const int64_t row = row_of_slot(in, slot);
  return row < 0 ? pack<T, V>{} : load_pack<T, V>(in.x + row * in.dim + c);
}

// alpha of a segment's slots, one head's.
template <class T>
__device__ __forceinline__ void softmax_slots(const pool_args<T>& a, const slot_range& at, int64_t head) {
  const int64_t heads = a.input.attention.heads;
  T most = -T(INFINITY);
  for (int64_t i = at.begin + lane_of(); i < at.end; i += warp) {
    const int64_t row = row_of_slot(a.input, i);
    T score = row < 0 ? not_a_number<T>() : a.scores[row * heads + head];
    if (a.offset != nullptr) score += a.offset[i * heads + head];
    a.alpha[i * heads + head] = score;
    most = most < score ? score : most;
  }
  most = group_max(most);
  T sum = 0;
  for (int64_t i = at.begin + lane_of(); i < at.end; i += warp) {
    const T power = exp(a.alpha[i * heads + head] - most);
    a.alpha[i * heads + head] = power;
    sum += power;
  }
  sum = group_sum<warp>(sum);
  for (int64_t i = at.begin + lane_of(); i < at.end; i += warp) a.alpha[i * heads + head] /= sum;
  __syncwarp();
}

template <int V, class T>
__global__ void __launch_bounds__(threads) pool_segments(const pool_args<T> a) {
  const pool_input<T>& in = a.input;
  const int64_t heads = in.attention.heads;
  if (warp_of() >= in.num_segments * heads) return;
  const int64_t segment = warp_of() / heads;
  const int64_t head = warp_of() % heads;
  const slot_range at = slots_of(in, segment);
  if (at.sound) softmax_slots(a, at, head);
  for (int64_t c = lane_of() * V; c < in.dim; c += warp * V) {
    T sum[V] = {};
    for (int64_t i = at.begin; at.sound && i < at.end; ++i) {
      const T alpha = a.alpha[i * heads + head];
      const pack<T, V> x = columns_of_slot<V>(in, i, c);
      for (int v = 0; v < V; ++v) sum[v] = multiply_add(alpha, x.values[v], sum[v]);
    }
    for (int v = 0; v < V; ++v) sum[v] = at.sound ? sum[v] : not_a_number<T>();
    store(a.out + warp_of() * in.dim + c, sum);
  }
}

template <int V, class T>
void launch(const pool_args<T>& a) {
  const pool_input<T>& in = a.input;
  // What no sound segment has is NaN.
  const auto bytes = static_cast<size_t>(in.num_slots * in.attention.heads) * sizeof(T);
  check(cudaMemsetAsync(a.alpha, 0xFF, bytes, static_cast<cudaStream_t>(a.stream)),
        "cudaMemsetAsync of alpha");
  if (in.num_segments == 0) return;
  const auto kernel = pool_segments<V, T>;
  LAUNCH(kernel, blocks_for(in.num_segments * in.attention.heads, warps), threads, 0, a.stream, a);
}

template <class T>
constexpr int packed = 16 / sizeof(T);

template <class T>
void pool_on_device(const pool_args<T>& a) {
  const bool fits = a.input.dim % packed<T> == 0 && aligned(a.input.x) && aligned(a.out);
  fits ? launch<packed<T>>(a) : launch<1>(a);
}

struct slots_by_row {
  int32_t* segment;  // (num_slots,) that a slot is in, -1 where none
  int32_t* ordered;  // (num_slots,) slots by row
  segments by_row;
};

template <class T>
slots_by_row lay_out(const pool_input<T>& in, buffer_parts& parts) {
  const int64_t sorted = in.index != nullptr ? in.num_slots : 0;
  return {.segment = parts.take<int32_t>(in.num_slots),
          .ordered = parts.take<int32_t>(sorted),
          .by_row = take_segments(parts, sorted, in.index != nullptr ? in.num_rows : 0)};
}

// dalpha_i = <g, x_i> and what comes from alpha itself, of one head.
template <int V, class T>
__device__ __forceinline__ void alpha_grads(const pool_grad_args<T>& a, const slot_range& at, int64_t segment,
                                            int64_t head) {
  const pool_input<T>& in = a.input;
  const int64_t heads = in.attention.heads;
  const T* g = a.grad + (segment * heads + head) * in.dim;
  for (int64_t i = at.begin; i < at.end; ++i) {
    T dot = 0;
    for (int64_t c = lane_of() * V; c < in.dim; c += warp * V) {
      const pack<T, V> x = columns_of_slot<V>(in, i, c);
      const pack<T, V> right = load_pack<T, V>(g + c);
      for (int v = 0; v < V; ++v) dot = multiply_add(right.values[v], x.values[v], dot);
    }
    dot = group_sum<warp>(dot);
    if (lane_of() > 0) continue;
    if (a.grad_of_alpha != nullptr) dot += a.grad_of_alpha[i * heads + head];
    a.grad_offset[i * heads + head] = dot;
  }
  __syncwarp();
}

template <int V, class T>
__global__ void __launch_bounds__(threads) segment_grads(const pool_grad_args<T> a, const slots_by_row s) {
  const pool_input<T>& in = a.input;
  const int64_t heads = in.attention.heads;
  if (warp_of() >= in.num_segments * heads) return;
  const int64_t segment = warp_of() / heads;
  const int64_t head = warp_of() % heads;
  const slot_range at = slots_of(in, segment);
  if (!at.sound) return;
  alpha_grads<V>(a, at, segment, head);
  T mean = 0;
  for (int64_t i = at.begin + lane_of(); i < at.end; i += warp) {
    mean = multiply_add(a.alpha[i * heads + head], a.grad_offset[i * heads + head], mean);
  }
  mean = group_sum<warp>(mean);
  for (int64_t i = at.begin + lane_of(); i < at.end; i += warp) {
    const int64_t place = i * heads + head;
    a.grad_offset[place] = a.alpha[place] * (a.grad_offset[place] - mean);
    if (head == 0) s.segment[i] = static_cast<int32_t>(segment);
  }
}

template <class T>
__global__ void __launch_bounds__(threads) count_slots(const pool_input<T> in, const slots_by_row s) {
  const int64_t slot = grid_thread();
  if (slot >= in.num_slots) return;
  const int64_t row = row_of_slot(in, slot);
  take_ticket(s.by_row, slot, row, row >= 0);
}

template <class T>
struct row_of {
  const int64_t* index;
  __device__ int64_t operator()(int64_t slot) const { return index[slot]; }
};

template <class T>
__global__ void __launch_bounds__(threads) order_slots(const pool_input<T> in, const slots_by_row s) {
  const int64_t slot = grid_thread();
  if (slot >= in.num_slots || s.by_row.ticket[slot] < 0) return;
  s.ordered[place_in_order(s.by_row, slot, in.index[slot])] = static_cast<int32_t>(slot);
}

template <class T>
void sort_slots(const pool_grad_args<T>& a, const slots_by_row& s) {
  const pool_input<T>& in = a.input;
  start_segments(s.by_row, a.stream);
  if (in.num_slots == 0) {
    return check(cudaMemsetAsync(s.by_row.start, 0, static_cast<size_t>(in.num_rows) * sizeof(int32_t),
                                 static_cast<cudaStream_t>(a.stream)),
                 "cudaMemsetAsync of starts");
  }
  LAUNCH(count_slots<T>, blocks_for(in.num_slots, threads), threads, 0, a.stream, in, s);
  place_segments(s.by_row, row_of<T>{in.index}, a.stream);
  LAUNCH(order_slots<T>, blocks_for(in.num_slots, threads), threads, 0, a.stream, in, s);
}

// body(slot) for the slots of a row, in their order.
template <class T, class Body>
__device__ __forceinline__ void for_slots(const pool_input<T>& in, const slots_by_row& s, int64_t row,
                                          const Body& body) {
  if (in.index == nullptr) return body(row);
  const int32_t* slots = s.ordered + s.by_row.start[row];
  for (int32_t i = 0; i < s.by_row.count[row]; ++i) body(int64_t{slots[i]});
}

// dx but for what comes by the scores, and ds of the row.
template <int V, class T>
__global__ void __launch_bounds__(threads) row_grads(const pool_grad_args<T> a, const slots_by_row s) {
  const pool_input<T>& in = a.input;
  const int64_t heads = in.attention.heads;
  const int64_t row = warp_of();
  if (row >= in.num_rows) return;
  for (int64_t k = lane_of(); a.grad_scores != nullptr && k < heads; k += warp) {
    T sum = 0;
    for_slots(in, s, row, [&](int64_t slot) { sum += a.grad_offset[slot * heads + k]; });
    a.grad_scores[row * heads + k] = sum;
  }
  if (a.grad_x == nullptr) return;
  for (int64_t c = lane_of() * V; c < in.dim; c += warp * V) {
    T sum[V] = {};
    for_slots(in, s, row, [&](int64_t slot) {
      const int64_t segment = s.segment[slot];
      for (int64_t k = 0; k < heads; ++k) {
        const T alpha = segment < 0 ? not_a_number<T>() : a.alpha[slot * heads + k];
        pack<T, V> g{};
        if (segment >= 0) g = load_pack<T, V>(a.grad + (segment * heads + k) * in.dim + c);
        for (int v = 0; v < V; ++v) sum[v] = multiply_add(alpha, g.values[v], sum[v]);
      }
    });
    store(a.grad_x + row * in.dim + c, sum);
  }
}

template <int V, class T>
void launch_grads(const pool_grad_args<T>& a) {
  const pool_input<T>& in = a.input;
  buffer_parts parts(a.scratch);
  const slots_by_row s = lay_out(in, parts);
  const auto stream = static_cast<cudaStream_t>(a.stream);
  const auto slots = static_cast<size_t>(in.num_slots);
  const auto numbers = slots * static_cast<size_t>(in.attention.heads) * sizeof(T);
  check(cudaMemsetAsync(a.grad_offset, 0xFF, numbers, stream), "cudaMemsetAsync of grad_offset");
  check(cudaMemsetAsync(s.segment, 0xFF, slots * sizeof(int32_t), stream), "cudaMemsetAsync of segment");
  if (in.num_segments > 0) {
    const auto kernel = segment_grads<V, T>;
    LAUNCH(kernel, blocks_for(in.num_segments * in.attention.heads, warps), threads, 0, a.stream, a, s);
  }
  if (in.num_rows == 0 || (a.grad_x == nullptr && a.grad_scores == nullptr)) return;
  if (in.index != nullptr) sort_slots(a, s);
  const auto kernel = row_grads<V, T>;
  LAUNCH(kernel, blocks_for(in.num_rows, warps), threads, 0, a.stream, a, s);
}

template <class T>
void pool_grad_on_device(const pool_grad_args<T>& a) {
  const pool_input<T>& in = a.input;
  const bool grad_fits = a.grad_x == nullptr || aligned(a.grad_x);
  const bool fits = in.dim % packed<T> == 0 && aligned(in.x) && aligned(a.grad) && grad_fits;
  fits ? launch_grads<packed<T>>(a) : launch_grads<1>(a);
}

template <class T>
int64_t scratch_size(const pool_input<T>& in, bool backward, int) {
  if (!backward) return 0;
  buffer_parts parts(nullptr);
  lay_out(in, parts);
  return ceil_div(parts.bytes(), static_cast<int64_t>(sizeof(T)));
}

}  // namespace

pool_kernels pool() {
  return {.scores_rows = false,
          .checks_input = true,
          .pool = {pool_on_device<float>, pool_on_device<double>},
          .pool_grad = {pool_grad_on_device<float>, pool_grad_on_device<double>},
          .scratch_f32 = scratch_size<float>,
          .scratch_f64 = scratch_size<double>};
}

}  // namespace pyrec::cuda
