// An entry is a place where a batch names a row: users first, then positives, then negatives. Entry e adds
// one term, factor * source, to the gradient of its row:
//
//   user of s      1 * du_s,  du_s = sum_j r_{s,j} (n_{s,j} - p_s)
//   positive of s  (-sum_j r_{s,j}) * u_s
//   negative s,j   r_{s,j} * u_s
//
// A group of lanes takes a sample for the loss, du and the rates r, and counts its entries; later one takes a
// row for its terms, in the order of their entries (cuda_terms.cuh).
#include <type_traits>

#include "bpr/bpr.hpp"
#include "common/cuda_sample_mean.cuh"
#include "common/cuda_terms.cuh"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;

// Parts of one buffer, the widest first.
template <class T>
struct scratch {
  sample_mean<T> mean;
  T* user_grad;        // (num_samples, dim) du
  T* rate;             // (num_samples, num_negatives) r
  T* rate_sum;         // (num_samples,) of a sample's negatives
  row_terms<T> terms;  // sources: rows of vectors, or ~s for du_s; none of a sample with a bad row
};

template <class T>
scratch<T> lay_out(const bpr_args<T>& a, buffer_parts& parts) {
  const int64_t num_entries = a.num_samples * (2 + a.num_negatives);
  return {.mean = take_sample_mean(parts, a.num_samples, a.num_negatives, a.weight, a.loss, a.grad_weight),
          .user_grad = parts.take<T>(a.num_samples * a.dim),
          .rate = parts.take<T>(a.num_samples * a.num_negatives),
          .rate_sum = parts.take<T>(a.num_samples),
          .terms = take_row_terms<T>(parts, num_entries, a.num_rows)};
}

template <class T>
__device__ __forceinline__ int64_t row_of(const bpr_args<T>& a, int64_t entry) {
  if (entry < a.num_samples) return a.users[entry];
  if (entry < 2 * a.num_samples) return a.positives[entry - a.num_samples];
  return a.negatives[entry - 2 * a.num_samples];
}

template <class T>
struct named_row {
  bpr_args<T> a;
  __device__ int64_t operator()(int64_t entry) const { return row_of(a, entry); }
};

// The i-th of a sample's 2 + num_negatives entries.
template <class T>
__device__ __forceinline__ int64_t entry_of(const bpr_args<T>& a, int64_t sample, int64_t i) {
  return i < 2 ? sample + i * a.num_samples : 2 * a.num_samples + sample * a.num_negatives + i - 2;
}

// Gives tickets to the entries of a sample, if all its rows are in range, which it returns.
template <int Lanes, class T>
__device__ __forceinline__ bool count_entries(const bpr_args<T>& a, const scratch<T>& s, int64_t sample) {
  const int lane = static_cast<int>(threadIdx.x) % Lanes;
  int32_t bad = 0;
  for (int64_t i = lane; sample < a.num_samples && i < 2 + a.num_negatives; i += Lanes) {
    const int64_t row = row_of(a, entry_of(a, sample, i));
    bad += row < 0 || row >= a.num_rows;
  }
  const bool good = group_sum<Lanes>(bad) == 0;
  for (int64_t i = lane; sample < a.num_samples && i < 2 + a.num_negatives; i += Lanes) {
    const int64_t entry = entry_of(a, sample, i);
    take_ticket(s.terms.by_row, entry, row_of(a, entry), good);
  }
  return good;
}

template <int Lanes, int V, class T>
__device__ __forceinline__ double margin(int64_t dim, const T* user, const T* positive, const T* negative) {
  T sum = 0;
  for (int64_t c = static_cast<int>(threadIdx.x) % Lanes * V; c < dim; c += Lanes * V) {
    T u[V], p[V], n[V];
    load(user + c, u);
    load(positive + c, p);
    load(negative + c, n);
    for (int v = 0; v < V; ++v) sum += u[v] * (n[v] - p[v]);
  }
  return static_cast<double>(sum);
}

template <int Lanes, int V, class T>
__device__ __forceinline__ void write_user_grad(const bpr_args<T>& a, const scratch<T>& s, int64_t sample,
                                                const T* positive) {
  const int64_t* negatives = a.negatives + sample * a.num_negatives;
  const T* rate = s.rate + sample * a.num_negatives;
  for (int64_t c = static_cast<int>(threadIdx.x) % Lanes * V; c < a.dim; c += Lanes * V) {
    T p[V], sum[V] = {};
    load(positive + c, p);
    for (int64_t j = 0; j < a.num_negatives; ++j) {
      T n[V];
      load(a.vectors + negatives[j] * a.dim + c, n);
      for (int v = 0; v < V; ++v) sum[v] += rate[j] * (n[v] - p[v]);
    }
    store(s.user_grad + sample * a.dim + c, sum);
  }
}

// A group takes a sample. All lanes of a warp go through its steps, those of no sample or a bad one idly.
template <int Lanes, int V, class T>
__global__ void __launch_bounds__(threads) take_samples(const bpr_args<T> a, const scratch<T> s) {
  const int64_t sample = grid_thread() / Lanes;
  const int lane = static_cast<int>(threadIdx.x) % Lanes;
  const bool good = count_entries<Lanes>(a, s, sample) && sample < a.num_samples;
  const T* user = good ? a.vectors + a.users[sample] * a.dim : nullptr;
  const T* positive = good ? a.vectors + a.positives[sample] * a.dim : nullptr;
  const double share = good ? share_of(s.mean, sample) : 0.0;
  double loss = 0;
  double rate_sum = 0;
  for (int64_t j = 0; j < a.num_negatives; ++j) {
    double x = 0;
    if (good) {
      const T* negative = a.vectors + a.negatives[sample * a.num_negatives + j] * a.dim;
      x = margin<Lanes, V>(a.dim, user, positive, negative);
    }
    x = group_sum<Lanes>(x);
    const double decay = exp(-fabs(x));
    loss += (x > 0 ? x : 0.0) + log1p(decay);
    const double rate = (x > 0 ? 1.0 : decay) / (1 + decay) * share;
    rate_sum += rate;
    if (good && lane == 0) s.rate[sample * a.num_negatives + j] = static_cast<T>(rate);
  }
  __syncwarp();
  if (good) write_user_grad<Lanes, V>(a, s, sample, positive);
  if (sample >= a.num_samples || lane != 0) return;
  s.rate_sum[sample] = static_cast<T>(rate_sum);
  s.mean.losses[sample] = good ? loss : not_a_number();
}

template <class T>
__global__ void __launch_bounds__(threads) order_terms(const bpr_args<T> a, const scratch<T> s) {
  const int64_t entry = grid_thread();
  const segments& by_row = s.terms.by_row;
  if (entry >= by_row.num_entries || by_row.ticket[entry] < 0) return;
  const int64_t at = place_in_order(by_row, entry, row_of(a, entry));
  if (entry < a.num_samples) {
    s.terms.source[at] = static_cast<int32_t>(~entry);
    s.terms.factor[at] = T(1);
    return;
  }
  const bool positive = entry < 2 * a.num_samples;
  const int64_t i = entry - (positive ? a.num_samples : 2 * a.num_samples);
  s.terms.source[at] = static_cast<int32_t>(a.users[positive ? i : i / a.num_negatives]);
  s.terms.factor[at] = positive ? -s.rate_sum[i] : s.rate[i];
}

template <class T>
struct term_rows {
  const T* vectors;    // (num_rows, dim)
  const T* user_grad;  // (num_samples, dim)
  int64_t dim;
  __device__ const T* operator()(int32_t from) const {
    return from < 0 ? user_grad + int64_t{~from} * dim : vectors + int64_t{from} * dim;
  }
};

template <int Lanes, int V, class T>
void launch(const bpr_args<T>& a) {
  buffer_parts parts(a.scratch);
  const scratch<T> s = lay_out(a, parts);
  start_segments(s.terms.by_row, a.stream);
  start_sample_mean(s.mean, a.stream);
  const auto samples = take_samples<Lanes, V, T>;
  LAUNCH(samples, blocks_for(a.num_samples, threads / Lanes), threads, 0, a.stream, a, s);
  finish_sample_mean(s.mean, a.stream);
  if (a.num_rows == 0) return;
  place_segments(s.terms.by_row, named_row<T>{a}, a.stream);
  LAUNCH(order_terms<T>, blocks_for(s.terms.by_row.num_entries, threads), threads, 0, a.stream, a, s);
  const term_rows<T> rows{a.vectors, s.user_grad, a.dim};
  start_terms<Lanes, V>(s.terms, rows, a.dim, a.grad, a.stream);
}

template <class T>
void bpr_on_device(const bpr_args<T>& a) {
  if constexpr (std::is_same_v<T, float>) {
    constexpr int V = 4;
    if (a.dim % V == 0 && aligned(a.vectors) && aligned(a.grad) && aligned(a.scratch)) {
      return a.dim <= 16 * V ? launch<16, V>(a) : launch<32, V>(a);
    }
  }
  launch<32, 1>(a);
}

template <class T>
int64_t scratch_bytes(const bpr_args<T>& a) {
  buffer_parts parts(nullptr);
  lay_out(a, parts);
  return parts.bytes();
}

}  // namespace

bpr_kernels bpr() {
  return {.checks_input = true,
          .f32 = bpr_on_device<float>,
          .f64 = bpr_on_device<double>,
          .scratch_f32 = scratch_bytes<float>,
          .scratch_f64 = scratch_bytes<double>};
}

}  // namespace pyrec::cuda
