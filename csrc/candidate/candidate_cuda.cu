// A warp takes a candidate, and in the backward pass a slot with all candidates of its segment, in their order
// (cuda_segments.cuh); each makes its scores anew, so that no pair is stored and no sum is shared.
#include "candidate/candidate.hpp"
#include "common/cuda_segments.cuh"
#include "common/cuda_vector.cuh"

namespace pyrec::cuda {

namespace {

constexpr int threads = 128;
constexpr int warps = threads / warp;
constexpr int64_t max_stripes = 2048;  // of candidates, for the vector's gradient

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

template <candidate_activation F, class T>
__device__ __forceinline__ T activate(T u) {
  if constexpr (F == candidate_activation::tanh) return tanh(u);
  return u < 0 ? T(0) : u;
}

template <candidate_activation F, class T>
__device__ __forceinline__ T slope(T u, T t) {
  if constexpr (F == candidate_activation::tanh) return 1 - t * t;
  return u > 0 ? T(1) : T(0);
}

// Slots [begin, end) of a segment, none where it or its pointers are unsound.
struct slot_range {
  int64_t begin;
  int64_t end;
  bool sound;
};

template <class T>
__device__ __forceinline__ slot_range slots_of(const candidate_input<T>& in, int64_t segment) {
  if (segment < 0 || segment >= in.num_segments) return {0, 0, false};
  const int64_t begin = in.indptr[segment];
  const int64_t end = in.indptr[segment + 1];
  const bool sound = 0 <= begin && begin <= end && end <= in.num_slots;
  return {sound ? begin : 0, sound ? end : 0, sound};
}

// The row of a slot, -1 where it names none.
template <class T>
__device__ __forceinline__ int64_t row_of_slot(const candidate_input<T>& in, int64_t slot) {
  if (in.index == nullptr) return slot;
  const int64_t row = in.index[slot];
  return row >= 0 && row < in.num_rows ? row : -1;
}

// s of a candidate and a slot's row, in every lane.
template <candidate_activation F, class T>
__device__ __forceinline__ T score(const candidate_input<T>& in, int64_t candidate, int64_t row) {
  if (row < 0) return not_a_number<T>();
  const T* a = in.candidates + candidate * in.hidden;
  const T* b = in.clicks + row * in.hidden;
  T sum = 0;
  for (int64_t h = lane_of(); h < in.hidden; h += warp) {
    sum = multiply_add(in.vector[h], activate<F>(a[h] + b[h]), sum);
  }
  return group_sum<warp>(sum);
}

// <x, y> in every lane.
template <class T>
__device__ __forceinline__ T dot(const T* x, const T* y, int64_t dim) {
  T sum = 0;
  for (int64_t c = lane_of(); c < dim; c += warp) sum = multiply_add(x[c], y[c], sum);
  return group_sum<warp>(sum);
}

// A warp's worth of slots at a time, each lane the score of its own; the sums so far are scaled as the largest
// score grows.
template <candidate_activation F, class T>
__global__ void __launch_bounds__(threads) attend(const candidate_args<T> a) {
  const candidate_input<T>& in = a.input;
  const int64_t candidate = warp_of();
  if (candidate >= in.num_candidates) return;
  const slot_range at = slots_of(in, in.readers[candidate]);
  T* out = a.out + candidate * in.dim;
  T most = -T(INFINITY), sum = 0;
  for (int64_t first = at.begin; first < at.end; first += warp) {
    const int count = static_cast<int>(at.end - first < warp ? at.end - first : warp);
    T own = -T(INFINITY);
    for (int i = 0; i < count; ++i) {
      const T found = score<F>(in, candidate, row_of_slot(in, first + i));
      if (i == lane_of()) own = found;
    }
    const T largest = group_max(own < most ? most : own);
    const T scale = sum == T(0) ? T(0) : exp(most - largest);
    const T power = lane_of() < count ? exp(own - largest) : T(0);
    sum = multiply_add(sum, scale, group_sum<warp>(power));
    most = largest;
    for (int64_t c = lane_of(); c - lane_of() < in.dim; c += warp) {
      T total = first > at.begin && c < in.dim ? scale * out[c] : T(0);
      for (int i = 0; i < count; ++i) {
        const T weight = __shfl_sync(all_lanes, power, i);
        const int64_t row = row_of_slot(in, first + i);
        const bool there = c < in.dim && row >= 0;
        total = multiply_add(weight, there ? in.values[row * in.dim + c] : T(0), total);
      }
      if (c < in.dim) out[c] = total;
    }
  }
  const T inverse = sum == T(0) ? T(0) : 1 / sum;
  for (int64_t c = lane_of(); c < in.dim; c += warp) {
    out[c] = !at.sound ? not_a_number<T>() : sum == T(0) ? T(0) : out[c] * inverse;
  }
  if (lane_of() > 0) return;
  a.norms[2 * candidate] = most;
  a.norms[2 * candidate + 1] = inverse;
}

// alpha and ds of a candidate and a slot's row, in every lane; mean: <g, out>.
template <candidate_activation F, class T>
__device__ __forceinline__ void weigh(const candidate_grad_args<T>& a, int64_t candidate, int64_t row, T mean,
                                      T& alpha, T& grad_score) {
  const candidate_input<T>& in = a.input;
  const T found = score<F>(in, candidate, row);
  alpha = exp(found - a.norms[2 * candidate]) * a.norms[2 * candidate + 1];
  const T product = row < 0 ? T(0) : dot(a.grad + candidate * in.dim, in.values + row * in.dim, in.dim);
  grad_score = alpha * (product - mean);
}

template <class T>
struct scratch {
  T* mean;           // (num_candidates,) <g, out>
  T* grad_vector;    // (stripes, hidden)
  int32_t* ordered;  // (num_candidates,) by reader
  segments by_reader;
};

template <class T>
int64_t num_stripes(const candidate_input<T>& in) {
  return in.num_candidates < max_stripes ? in.num_candidates : max_stripes;
}

template <class T>
scratch<T> lay_out(const candidate_input<T>& in, buffer_parts& parts) {
  return {.mean = parts.take<T>(in.num_candidates),
          .grad_vector = parts.take<T>(num_stripes(in) * in.hidden),
          .ordered = parts.take<int32_t>(in.num_candidates),
          .by_reader = take_segments(parts, in.num_candidates, in.num_segments)};
}

// A warp takes a stripe of candidates: their own gradients, and what they add to the vector's.
template <candidate_activation F, class T>
__global__ void __launch_bounds__(threads)
    candidate_grads(const candidate_grad_args<T> a, const scratch<T> s, const int64_t stripes) {
  const candidate_input<T>& in = a.input;
  const int64_t stripe = warp_of();
  if (stripe >= stripes) return;
  T* of_vector = s.grad_vector + stripe * in.hidden;
  for (int64_t h = lane_of(); h < in.hidden; h += warp) of_vector[h] = 0;
  const int64_t last = (stripe + 1) * in.num_candidates / stripes;
  for (int64_t c = stripe * in.num_candidates / stripes; c < last; ++c) {
    const slot_range at = slots_of(in, in.readers[c]);
    const T mean = dot(a.grad + c * in.dim, a.out + c * in.dim, in.dim);
    if (lane_of() == 0) s.mean[c] = mean;
    const T* own = in.candidates + c * in.hidden;
    T* grad_own = a.grad_candidates + c * in.hidden;
    for (int64_t h = lane_of(); h < in.hidden; h += warp) grad_own[h] = at.sound ? T(0) : not_a_number<T>();
    for (int64_t i = at.begin; i < at.end; ++i) {
      const int64_t row = row_of_slot(in, i);
      T alpha, grad_score;
      weigh<F>(a, c, row, mean, alpha, grad_score);
      for (int64_t h = lane_of(); h < in.hidden; h += warp) {
        const T u = own[h] + (row < 0 ? not_a_number<T>() : in.clicks[row * in.hidden + h]);
        const T t = activate<F>(u);
        grad_own[h] += grad_score * in.vector[h] * slope<F>(u, t);
        of_vector[h] = multiply_add(grad_score, t, of_vector[h]);
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(threads)
    add_vector_grads(const candidate_grad_args<T> a, const scratch<T> s, const int64_t stripes) {
  const int64_t h = grid_thread();
  if (h >= a.input.hidden) return;
  T sum = 0;
  for (int64_t stripe = 0; stripe < stripes; ++stripe) sum += s.grad_vector[stripe * a.input.hidden + h];
  a.grad_vector[h] = sum;
}

template <class T>
__global__ void __launch_bounds__(threads) count_candidates(const candidate_input<T> in, const scratch<T> s) {
  const int64_t c = grid_thread();
  if (c >= in.num_candidates) return;
  const int64_t reader = in.readers[c];
  take_ticket(s.by_reader, c, reader, reader >= 0 && reader < in.num_segments);
}

struct reader_of {
  const int64_t* readers;
  __device__ int64_t operator()(int64_t candidate) const { return readers[candidate]; }
};

template <class T>
__global__ void __launch_bounds__(threads) order_candidates(const candidate_input<T> in, const scratch<T> s) {
  const int64_t c = grid_thread();
  if (c >= in.num_candidates || s.by_reader.ticket[c] < 0) return;
  s.ordered[place_in_order(s.by_reader, c, in.readers[c])] = static_cast<int32_t>(c);
}

// The segment that a slot is in, -1 where the pointers have none.
template <class T>
__device__ __forceinline__ int64_t segment_of_slot(const candidate_input<T>& in, int64_t slot) {
  int64_t low = 0, high = in.num_segments;  // indptr[low] <= slot < indptr[high] where the pointers are sound
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (in.indptr[middle] <= slot) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const slot_range at = slots_of(in, low);
  return at.begin <= slot && slot < at.end ? low : -1;
}

// A warp takes a slot: what all candidates of its segment add to its click and its value.
template <candidate_activation F, class T>
__global__ void __launch_bounds__(threads) slot_grads(const candidate_grad_args<T> a, const scratch<T> s) {
  const candidate_input<T>& in = a.input;
  const int64_t slot = warp_of();
  if (slot >= in.num_slots) return;
  const int64_t segment = segment_of_slot(in, slot);
  const int64_t row = row_of_slot(in, slot);
  const bool sound = segment >= 0 && row >= 0;
  T* of_click = a.grad_clicks + slot * in.hidden;
  T* of_value = a.grad_values + slot * in.dim;
  for (int64_t h = lane_of(); h < in.hidden; h += warp) of_click[h] = sound ? T(0) : not_a_number<T>();
  for (int64_t c = lane_of(); c < in.dim; c += warp) of_value[c] = sound ? T(0) : not_a_number<T>();
  if (!sound) return;
  for (int32_t k = 0; k < s.by_reader.count[segment]; ++k) {
    const int64_t candidate = s.ordered[s.by_reader.start[segment] + k];
    T alpha, grad_score;
    weigh<F>(a, candidate, row, s.mean[candidate], alpha, grad_score);
    for (int64_t h = lane_of(); h < in.hidden; h += warp) {
      const T u = in.candidates[candidate * in.hidden + h] + in.clicks[row * in.hidden + h];
      of_click[h] += grad_score * in.vector[h] * slope<F>(u, activate<F>(u));
    }
    for (int64_t c = lane_of(); c < in.dim; c += warp) {
      of_value[c] = multiply_add(alpha, a.grad[candidate * in.dim + c], of_value[c]);
    }
  }
}

template <candidate_activation F, class T>
void launch(const candidate_args<T>& a) {
  if (a.input.num_candidates == 0) return;
  const auto kernel = attend<F, T>;
  LAUNCH(kernel, blocks_for(a.input.num_candidates, warps), threads, 0, a.stream, a);
}

template <candidate_activation F, class T>
void launch_grads(const candidate_grad_args<T>& a) {
  const candidate_input<T>& in = a.input;
  buffer_parts parts(a.scratch);
  const scratch<T> s = lay_out(in, parts);
  const int64_t stripes = num_stripes(in);
  if (stripes > 0) {
    const auto own = candidate_grads<F, T>;
    LAUNCH(own, blocks_for(stripes, warps), threads, 0, a.stream, a, s, stripes);
  }
  if (in.hidden > 0) {
    const auto sums = add_vector_grads<T>;
    LAUNCH(sums, blocks_for(in.hidden, threads), threads, 0, a.stream, a, s, stripes);
  }
  if (in.num_slots == 0) return;
  start_segments(s.by_reader, a.stream);
  if (stripes > 0) {
    const auto count = count_candidates<T>;
    LAUNCH(count, blocks_for(in.num_candidates, threads), threads, 0, a.stream, in, s);
  }
  if (stripes > 0 && in.num_segments > 0) {
    place_segments(s.by_reader, reader_of{in.readers}, a.stream);
    const auto order = order_candidates<T>;
    LAUNCH(order, blocks_for(in.num_candidates, threads), threads, 0, a.stream, in, s);
  }
  const auto slots = slot_grads<F, T>;
  LAUNCH(slots, blocks_for(in.num_slots, warps), threads, 0, a.stream, a, s);
}

template <class T>
void candidate_on_device(const candidate_args<T>& a) {
  a.input.activation == candidate_activation::tanh ? launch<candidate_activation::tanh>(a)
                                                   : launch<candidate_activation::relu>(a);
}

template <class T>
void candidate_grad_on_device(const candidate_grad_args<T>& a) {
  a.input.activation == candidate_activation::tanh ? launch_grads<candidate_activation::tanh>(a)
                                                   : launch_grads<candidate_activation::relu>(a);
}

template <class T>
int64_t scratch_bytes(const candidate_input<T>& in) {
  buffer_parts parts(nullptr);
  lay_out(in, parts);
  return parts.bytes();
}

}  // namespace

candidate_kernels candidate() {
  return {.checks_input = true,
          .candidate = {candidate_on_device<float>, candidate_on_device<double>},
          .candidate_grad = {candidate_grad_on_device<float>, candidate_grad_on_device<double>},
          .scratch_f32 = scratch_bytes<float>,
          .scratch_f64 = scratch_bytes<double>};
}

}  // namespace pyrec::cuda
