// An entry is a place where a batch names a row: users first, then items. Entry e adds one term, rate * the
// sample's other row, to the gradient of its row, and the rate to that of its bias. A group of lanes takes a
// sample for loss and rate, and counts its entries; later one takes a row for its terms, in the order of their
// entries (cuda_terms.cuh).
#include <type_traits>

#include "common/cuda_sample_mean.cuh"
#include "common/cuda_terms.cuh"
#include "pointwise/pointwise.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;

// Parts of one buffer, the widest first.
template <class T>
struct scratch {
  sample_mean<T> mean;
  T* rate;             // (num_samples,) r
  row_terms<T> terms;  // sources: rows of vectors; none of a sample with a bad row or label
};

template <class T>
scratch<T> lay_out(const pointwise_args<T>& a, buffer_parts& parts) {
  return {.mean = take_sample_mean(parts, a.num_samples, 1, a.weight, a.loss, a.grad_weight),
          .rate = parts.take<T>(a.num_samples),
          .terms = take_row_terms<T>(parts, 2 * a.num_samples, a.num_rows)};
}

// The row that an entry names, or the other one of its sample.
template <class T>
__device__ __forceinline__ int64_t row_of(const pointwise_args<T>& a, int64_t entry, bool other = false) {
  const bool user = entry < a.num_samples;
  return (user != other ? a.users : a.items)[user ? entry : entry - a.num_samples];
}

template <class T>
struct named_row {
  pointwise_args<T> a;
  __device__ int64_t operator()(int64_t entry) const { return row_of(a, entry); }
};

template <class T>
__device__ __forceinline__ bool sound(const pointwise_args<T>& a, int64_t sample) {
  const int64_t user = a.users[sample];
  const int64_t item = a.items[sample];
  const bool rows = user >= 0 && user < a.num_rows && item >= 0 && item < a.num_rows;
  return rows && sound_label(a.kind, a.label[sample]);
}

// This lane's part of the product of a sample's rows.
template <int Lanes, int V, class T>
__device__ __forceinline__ double product(const pointwise_args<T>& a, int64_t sample) {
  const T* user = a.vectors + a.users[sample] * a.dim;
  const T* item = a.vectors + a.items[sample] * a.dim;
  T sum = 0;
  for (int64_t c = static_cast<int>(threadIdx.x) % Lanes * V; c < a.dim; c += Lanes * V) {
    T u[V], i[V];
    load(user + c, u);
    load(item + c, i);
    for (int v = 0; v < V; ++v) sum += u[v] * i[v];
  }
  return static_cast<double>(sum);
}

template <class T>
__device__ __forceinline__ void write_sample(const pointwise_args<T>& a, const scratch<T>& s, int64_t sample,
                                             double x) {
  if (a.bias != nullptr) x += static_cast<double>(a.bias[a.users[sample]]);
  if (a.bias != nullptr) x += static_cast<double>(a.bias[a.items[sample]]);
  const pointwise_loss of = pointwise_loss_of(a.kind, x, static_cast<double>(a.label[sample]));
  const double share = share_of(s.mean, sample);
  s.mean.losses[sample] = of.loss;
  s.rate[sample] = static_cast<T>(of.by_score * share);
  if (a.grad_label != nullptr) a.grad_label[sample] = static_cast<T>(of.by_label * share);
}

// A group takes a sample. All lanes of a warp go through its steps, those of no sample or a bad one idly.
template <int Lanes, int V, class T>
__global__ void __launch_bounds__(threads) take_samples(const pointwise_args<T> a, const scratch<T> s) {
  const int64_t sample = grid_thread() / Lanes;
  const int lane = static_cast<int>(threadIdx.x) % Lanes;
  const bool any = sample < a.num_samples;
  const bool good = any && sound(a, sample);
  if (any && lane < 2) {
    const int64_t entry = sample + lane * a.num_samples;
    take_ticket(s.terms.by_row, entry, row_of(a, entry), good);
  }
  const double x = group_sum<Lanes>(good ? product<Lanes, V>(a, sample) : 0.0);
  if (!any || lane != 0) return;
  if (good) return write_sample(a, s, sample, x);
  s.mean.losses[sample] = not_a_number();
  if (a.grad_label != nullptr) a.grad_label[sample] = static_cast<T>(not_a_number());
}

template <class T>
__global__ void __launch_bounds__(threads) order_terms(const pointwise_args<T> a, const scratch<T> s) {
  const int64_t entry = grid_thread();
  const segments& by_row = s.terms.by_row;
  if (entry >= by_row.num_entries || by_row.ticket[entry] < 0) return;
  const int64_t at = place_in_order(by_row, entry, row_of(a, entry));
  s.terms.source[at] = static_cast<int32_t>(row_of(a, entry, true));
  s.terms.factor[at] = s.rate[entry < a.num_samples ? entry : entry - a.num_samples];
}

template <class T>
struct term_rows {
  const T* vectors;  // (num_rows, dim)
  int64_t dim;
  __device__ const T* operator()(int32_t from) const { return vectors + int64_t{from} * dim; }
};

template <int Lanes, int V, class T>
void launch(const pointwise_args<T>& a) {
  buffer_parts parts(a.scratch);
  const scratch<T> s = lay_out(a, parts);
  start_segments(s.terms.by_row, a.stream);
  start_sample_mean(s.mean, a.stream);
  const auto samples = take_samples<Lanes, V, T>;
  LAUNCH(samples, blocks_for(a.num_samples, threads / Lanes), threads, 0, a.stream, a, s);
  finish_sample_mean(s.mean, a.stream);
  if (a.num_rows == 0) return;
  place_segments(s.terms.by_row, named_row<T>{a}, a.stream);
  LAUNCH(order_terms<T>, blocks_for(2 * a.num_samples, threads), threads, 0, a.stream, a, s);
  start_terms<Lanes, V>(s.terms, term_rows<T>{a.vectors, a.dim}, a.dim, a.grad, a.stream);
  if (a.grad_bias == nullptr) return;
  const auto factors = add_factors<T>;
  LAUNCH(factors, blocks_for(a.num_rows, term_threads), term_threads, 0, a.stream, s.terms, a.grad_bias);
}

template <class T>
void pointwise_on_device(const pointwise_args<T>& a) {
  if constexpr (std::is_same_v<T, float>) {
    constexpr int V = 4;
    if (a.dim % V == 0 && aligned(a.vectors) && aligned(a.grad)) {
      return a.dim <= 16 * V ? launch<16, V>(a) : launch<32, V>(a);
    }
  }
  launch<32, 1>(a);
}

template <class T>
int64_t scratch_bytes(const pointwise_args<T>& a) {
  buffer_parts parts(nullptr);
  lay_out(a, parts);
  return parts.bytes();
}

}  // namespace

pointwise_kernels pointwise() {
  return {.checks_input = true,
          .f32 = pointwise_on_device<float>,
          .f64 = pointwise_on_device<double>,
          .scratch_f32 = scratch_bytes<float>,
          .scratch_f64 = scratch_bytes<double>};
}

}  // namespace pyrec::cuda
