// A group of lanes takes a pair; sums by group are added in the order of the pairs (cuda_terms.cuh).
#include <type_traits>

#include "agreement/agreement.hpp"
#include "common/cuda_terms.cuh"
#include "common/sample_weights.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;

template <class T>
struct scratch {
  row_terms<T> terms;  // of groups
};

template <class T>
scratch<T> lay_out(const agreement_args<T>& a, buffer_parts& parts) {
  return {.terms = take_row_terms<T>(parts, a.num_groups > 0 ? a.num_samples : 0, a.num_groups)};
}

template <class T>
__device__ __forceinline__ bool sound(const agreement_args<T>& a, int64_t k) {
  const int64_t user = a.users[k];
  const int64_t item = a.items[k];
  const bool rows = user >= 0 && user < a.num_rows && item >= 0 && item < a.num_rows;
  return rows && (a.label == nullptr || sound_label(a.kind, a.label[k]));
}

struct pair_products {
  double score;
  double agreement;
};

// This lane's part of them.
template <int Lanes, int V, class T>
__device__ __forceinline__ pair_products products(const agreement_args<T>& a, int64_t k) {
  const int64_t user = a.users[k] * a.dim;
  const int64_t item = a.items[k] * a.dim;
  T score = 0, first = 0, second = 0;
  for (int64_t c = static_cast<int>(threadIdx.x) % Lanes * V; c < a.dim; c += Lanes * V) {
    T u[V], i[V], user_step[V], item_step[V];
    load(a.vectors + user + c, u);
    load(a.vectors + item + c, i);
    load(a.direction + user + c, user_step);
    load(a.direction + item + c, item_step);
    for (int v = 0; v < V; ++v) {
      score = multiply_add(u[v], i[v], score);
      first = multiply_add(user_step[v], i[v], first);
      second = multiply_add(u[v], item_step[v], second);
    }
  }
  return {static_cast<double>(score), static_cast<double>(first) + static_cast<double>(second)};
}

template <class T>
__device__ __forceinline__ double biases(const T* bias, const agreement_args<T>& a, int64_t k) {
  if (bias == nullptr) return 0;
  return static_cast<double>(bias[a.users[k]]) + static_cast<double>(bias[a.items[k]]);
}

__device__ __forceinline__ double not_a_number() { return __longlong_as_double(0x7FF8000000000000); }

template <class T>
__device__ __forceinline__ void write_pair(const agreement_args<T>& a, int64_t k, bool good, double score,
                                           double agreement) {
  if (good) agreement += biases(a.bias_direction, a, k);
  a.agreement[k] = static_cast<T>(good ? agreement : not_a_number());
  if (a.label == nullptr) return;
  pair_gradient grad{not_a_number(), not_a_number()};
  if (good) {
    score += biases(a.bias, a, k);
    grad = pair_gradient_of(a.kind, a.rate, score, static_cast<double>(a.label[k]), weight_of(a.weight, k),
                            agreement);
  }
  a.grad_weight[k] = static_cast<T>(grad.by_weight);
  a.grad_label[k] = static_cast<T>(grad.by_label);
}

// All lanes of a warp go through a pair's steps, those of none or of a bad one idly.
template <int Lanes, int V, class T>
__global__ void __launch_bounds__(threads) take_pairs(const agreement_args<T> a) {
  const int64_t k = grid_thread() / Lanes;
  const bool any = k < a.num_samples;
  const bool good = any && sound(a, k);
  pair_products of{0, 0};
  if (good) of = products<Lanes, V>(a, k);
  const double score = group_sum<Lanes>(of.score);
  const double agreement = group_sum<Lanes>(of.agreement);
  if (any && static_cast<int>(threadIdx.x) % Lanes == 0) write_pair(a, k, good, score, agreement);
}

template <class T>
__global__ void __launch_bounds__(threads) count_groups(const agreement_args<T> a, const scratch<T> s) {
  const int64_t k = grid_thread();
  if (k >= a.num_samples) return;
  const int64_t group = a.groups[k];
  const bool good = group >= 0 && group < a.num_groups;
  if (!good) a.grad_weight[k] = static_cast<T>(not_a_number());
  take_ticket(s.terms.by_row, k, group, good);
}

template <class T>
struct group_of {
  const int64_t* groups;
  __device__ int64_t operator()(int64_t k) const { return groups[k]; }
};

template <class T>
__global__ void __launch_bounds__(threads) order_pairs(const agreement_args<T> a, const scratch<T> s) {
  const int64_t k = grid_thread();
  if (k >= a.num_samples || s.terms.by_row.ticket[k] < 0) return;
  s.terms.factor[place_in_order(s.terms.by_row, k, a.groups[k])] = a.grad_weight[k];
}

template <int Lanes, int V, class T>
void launch(const agreement_args<T>& a) {
  const auto pairs = take_pairs<Lanes, V, T>;
  LAUNCH(pairs, blocks_for(a.num_samples, threads / Lanes), threads, 0, a.stream, a);
  if (a.groups == nullptr || a.num_groups == 0) return;
  buffer_parts parts(a.scratch);
  const scratch<T> s = lay_out(a, parts);
  start_segments(s.terms.by_row, a.stream);
  LAUNCH(count_groups<T>, blocks_for(a.num_samples, threads), threads, 0, a.stream, a, s);
  place_segments(s.terms.by_row, group_of<T>{a.groups}, a.stream);
  LAUNCH(order_pairs<T>, blocks_for(a.num_samples, threads), threads, 0, a.stream, a, s);
  const auto factors = add_factors<T>;
  LAUNCH(factors, blocks_for(a.num_groups, term_threads), term_threads, 0, a.stream, s.terms, a.sums);
}

template <class T>
void agreement_on_device(const agreement_args<T>& a) {
  if constexpr (std::is_same_v<T, float>) {
    constexpr int V = 4;
    if (a.dim % V == 0 && aligned(a.vectors) && aligned(a.direction)) {
      return a.dim <= 16 * V ? launch<16, V>(a) : launch<32, V>(a);
    }
  }
  launch<32, 1>(a);
}

template <class T>
int64_t scratch_bytes(const agreement_args<T>& a) {
  buffer_parts parts(nullptr);
  lay_out(a, parts);
  return parts.bytes();
}

}  // namespace

agreement_kernels agreement() {
  return {.checks_input = true,
          .f32 = agreement_on_device<float>,
          .f64 = agreement_on_device<double>,
          .scratch_f32 = scratch_bytes<float>,
          .scratch_f64 = scratch_bytes<double>};
}

}  // namespace pyrec::cuda
