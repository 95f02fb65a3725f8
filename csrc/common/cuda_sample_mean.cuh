#pragma once
// The mean of samples' losses by their weights, with its gradient in them (common/sample_weights.hpp), by one
// block: each thread takes some of the samples, then the threads' sums are added in their order.
#include "common/cuda_block.cuh"
#include "common/sample_weights.hpp"
#include "common/scratch_parts.hpp"

namespace pyrec::cuda {

namespace {

constexpr int mean_threads = 256;

template <class T>
struct sample_mean {
  int64_t num_samples;
  double terms;        // a sample's loss is the sum of so many
  const T* weight;     // (num_samples,); null for 1
  T* loss;             // (1,)
  T* grad_weight;      // (num_samples,); may be null
  double* losses;      // (num_samples,) sums of terms
  double* share;       // (1,) 1 / (W terms) of weights
  double equal_share;  // the same without weights
};

template <class T>
sample_mean<T> take_sample_mean(buffer_parts& parts, int64_t num_samples, int64_t terms, const T* weight,
                                T* loss, T* grad_weight) {
  sample_mean<T> m{num_samples, static_cast<double>(terms), weight, loss, grad_weight, nullptr, nullptr, 0};
  m.losses = parts.take<double>(num_samples);
  m.share = parts.take<double>(1);
  m.equal_share = 1.0 / static_cast<double>(num_samples * terms);
  return m;
}

__device__ __forceinline__ double not_a_number() { return __longlong_as_double(0x7FF8000000000000); }

// What a term of the sample counts in the mean; after start_sample_mean.
template <class T>
__device__ __forceinline__ double share_of(const sample_mean<T>& m, int64_t sample) {
  return m.weight == nullptr ? m.equal_share : static_cast<double>(m.weight[sample]) * *m.share;
}

// The sum over the block's mean_threads threads, in thread 0; `sums` is the block's shared memory.
__device__ __forceinline__ double block_sum(double value, double (&sums)[mean_threads / warp]) {
  value = group_sum<warp>(value);
  if (threadIdx.x % warp == 0) sums[threadIdx.x / warp] = value;
  __syncthreads();
  double total = 0;
  for (int i = 0; threadIdx.x == 0 && i < mean_threads / warp; ++i) total += sums[i];
  return total;
}

// NaN where a weight is negative or no finite number, or where their sum cannot be divided by.
template <class T>
__global__ void __launch_bounds__(mean_threads) sum_weights(const sample_mean<T> m) {
  __shared__ double sums[mean_threads / warp];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < m.num_samples; i += mean_threads) {
    const auto weight = static_cast<double>(m.weight[i]);
    sum += weight >= 0 ? weight : not_a_number();
  }
  sum = block_sum(sum, sums);
  if (threadIdx.x != 0) return;
  const bool sound = sum >= least_weight_sum && sum <= largest_weight_sum;
  *m.share = sound ? 1 / (sum * m.terms) : not_a_number();
}

template <class T>
__global__ void __launch_bounds__(mean_threads) sum_losses(const sample_mean<T> m) {
  __shared__ double sums[mean_threads / warp];
  __shared__ double mean;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < m.num_samples; i += mean_threads) {
    sum += weight_of(m.weight, i) * m.losses[i];
  }
  sum = block_sum(sum, sums);
  const double share = m.weight == nullptr ? m.equal_share : *m.share;
  if (threadIdx.x == 0) {
    mean = sum * share;
    *m.loss = static_cast<T>(mean);
  }
  if (m.grad_weight == nullptr) return;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < m.num_samples; i += mean_threads) {
    m.grad_weight[i] = static_cast<T>((m.losses[i] / m.terms - mean) * (share * m.terms));
  }
}

// Before share_of.
template <class T>
void start_sample_mean(const sample_mean<T>& m, void* stream) {
  if (m.weight != nullptr) LAUNCH(sum_weights<T>, 1, mean_threads, 0, stream, m);
}

// After the samples' losses.
template <class T>
void finish_sample_mean(const sample_mean<T>& m, void* stream) {
  LAUNCH(sum_losses<T>, 1, mean_threads, 0, stream, m);
}

}  // namespace

}  // namespace pyrec::cuda
