#pragma once
// Pooling of L rows x_0 .. x_{L-1} into one, for each node n, in three ways:
//
//   weighted         E_n = sum_l alpha_l x_{l,n}
//   attention        E_n = sum_l alpha_{n,l} x_{l,n},   alpha_n = softmax_l(v . tanh(r W x_{l,n} + b) + o_n)
//                    with r = 1, or 1 / ||x_{l,n}|| where rows are normalised, and o = 0 unless given
//   self-attention   E_n = the mean over the queries q of concat_h(A_h X V_h)
//                    A_h = softmax_k(Q_h K_h^T / sqrt(d_h))
//                    with Q = X W_q, K = X W_k, V = X W_v, X = the L rows of n, d_h = dim / heads
//
// The mean moves inside: with a_h = the mean of A_h's rows, E_n's columns of head h are (a_h X) W_v's columns
// of head h, so that L rows are pooled before one is projected, and V is never made.
//
// A row that the mask leaves out has weight 0 and is no query; a node without rows gives E_n = 0. Backward
// passes compute everything again from the rows (attention from alpha too), so that nothing of size
// (num_rows, L, dim) is ever kept. Gradients of the parameters are summed over nodes in a fixed order: the
// nodes are cut into stripes by their number alone, a stripe is summed in sequence, and the stripes are added
// in order.
#include <cstdint>
#include <limits>

#include "common/function_table.hpp"

namespace pyrec {

constexpr int64_t max_combine_layers = 64;
constexpr int64_t max_combine_dim = 512;

// A row whose squares sum to less counts as zero where rows are normalised: r = 0. So r^2 never overflows.
template <class T>
constexpr T least_square_sum = std::numeric_limits<T>::min();

template <class T>
struct layer_rows {
  const T* rows;   // (num_rows, dim)
  int64_t stride;  // elements from one row to the next
};

template <class T>
struct combine_input {
  const layer_rows<T>* layers;  // (num_layers,)
  int64_t num_layers;           // L
  int64_t num_rows;
  int64_t dim;
  const bool* mask;  // (num_rows, num_layers), or null for all true
};

template <class T>
struct combine_weighted_args {
  combine_input<T> input;
  const T* alpha;  // (num_layers,)
  T* out;          // (num_rows, dim)
  void* stream;    // of a device
};

template <class T>
struct combine_weighted_grad_args {
  combine_input<T> input;
  const T* alpha;         // (num_layers,)
  const T* grad;          // (num_rows, dim)
  T* const* grad_layers;  // (num_layers,) of (num_rows, dim); or null
  T* grad_alpha;          // (num_layers,); or null
  double* partial;        // (stripes, num_layers) scratch
  void* stream;
};

template <class T>
struct attention_weights {
  const T* weight;  // (hidden, dim) W
  const T* bias;    // (hidden,) b
  const T* vector;  // (hidden,) v
  int64_t hidden;
  bool normalise;  // r = 1 / ||x||
};

template <class T>
struct combine_attention_args {
  combine_input<T> input;
  attention_weights<T> attention;
  const T* offset;  // (num_rows, num_layers) o; or null for zero
  T* out;           // (num_rows, dim)
  T* alpha;         // (num_rows, num_layers)
  T* scratch;       // of attention_scratch, or make_attention_stripes
  int num_workers;
  void* stream;
};

template <class T>
struct combine_attention_grad_args {
  combine_input<T> input;
  attention_weights<T> attention;
  const T* alpha;          // (num_rows, num_layers)
  const T* grad;           // (num_rows, dim)
  const T* grad_of_alpha;  // (num_rows, num_layers); or null for zero
  T* const* grad_layers;   // (num_layers,) of (num_rows, dim); or null
  T* grad_weight;          // (hidden, dim); or null, and so the next two
  T* grad_bias;            // (hidden,)
  T* grad_vector;          // (hidden,)
  T* grad_offset;          // (num_rows, num_layers); or null
  T* scratch;              // of attention_scratch, or make_attention_stripes
  int num_workers;
  void* stream;
};

template <class T>
struct self_attention_weights {
  const T* query;  // (dim, dim) W_q
  const T* key;    // (dim, dim) W_k
  const T* value;  // (dim, dim) W_v
  int64_t num_heads;
};

template <class T>
struct combine_self_attention_args {
  combine_input<T> input;
  self_attention_weights<T> attention;
  T* out;      // (num_rows, dim)
  T* alpha;    // (num_rows, num_layers): the mean over the heads of a_h
  T* scratch;  // of self_attention_scratch, or make_self_attention_stripes
  int num_workers;
  void* stream;
};

template <class T>
struct combine_self_attention_grad_args {
  combine_input<T> input;
  self_attention_weights<T> attention;
  const T* grad;           // (num_rows, dim)
  const T* grad_of_alpha;  // (num_rows, num_layers); or null for zero
  T* const* grad_layers;   // (num_layers,) of (num_rows, dim); or null
  T* grad_query;           // (dim, dim); or null, and so the next two
  T* grad_key;             // (dim, dim)
  T* grad_value;           // (dim, dim)
  T* scratch;              // of self_attention_scratch, or make_self_attention_stripes
  int num_workers;
  void* stream;
};

template <template <class> class Args>
using float_or_double = function_table<Args<float>, Args<double>>;

struct combine_kernels {
  bool in_stripes = false;  // scratch is as scratch_cuda.hpp says, not scratch_cpu.hpp
  float_or_double<combine_weighted_args> weighted;
  float_or_double<combine_weighted_grad_args> weighted_grad;
  float_or_double<combine_attention_args> attention;
  float_or_double<combine_attention_grad_args> attention_grad;
  float_or_double<combine_self_attention_args> self_attention;
  float_or_double<combine_self_attention_grad_args> self_attention_grad;
};

}  // namespace pyrec
