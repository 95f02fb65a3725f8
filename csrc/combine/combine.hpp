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
// nodes are cut into slots by their number alone, a slot is summed in sequence, and the slots are added in
// order.
#include <cstdint>
#include <limits>

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
  double* partial;        // (slots, num_layers) scratch
  void* stream;
};

template <class T>
struct combine_attention_args {
  combine_input<T> input;
  int64_t hidden;
  const T* weight;  // (hidden, dim)
  const T* bias;    // (hidden,)
  const T* vector;  // (hidden,)
  bool normalise;   // r = 1 / ||x||
  const T* offset;  // (num_rows, num_layers) o; or null for zero
  T* out;           // (num_rows, dim)
  T* alpha;         // (num_rows, num_layers)
  T* scratch;       // of make_attention_layout, or make_attention_slots
  int num_workers;
  void* stream;
};

template <class T>
struct combine_attention_grad_args {
  combine_input<T> input;
  int64_t hidden;
  const T* weight;         // (hidden, dim)
  const T* bias;           // (hidden,)
  const T* vector;         // (hidden,)
  bool normalise;          // r = 1 / ||x||
  const T* alpha;          // (num_rows, num_layers)
  const T* grad;           // (num_rows, dim)
  const T* grad_of_alpha;  // (num_rows, num_layers); or null for zero
  T* const* grad_layers;   // (num_layers,) of (num_rows, dim); or null
  T* grad_weight;          // (hidden, dim); or null, and so the next two
  T* grad_bias;            // (hidden,)
  T* grad_vector;          // (hidden,)
  T* grad_offset;          // (num_rows, num_layers); or null
  T* scratch;              // of make_attention_layout, or make_attention_slots
  int num_workers;
  void* stream;
};

template <class T>
struct combine_self_attention_args {
  combine_input<T> input;
  int64_t num_heads;
  const T* query;  // (dim, dim) W_q
  const T* key;    // (dim, dim) W_k
  const T* value;  // (dim, dim) W_v
  T* out;          // (num_rows, dim)
  T* alpha;        // (num_rows, num_layers): the mean over the heads of a_h
  T* scratch;      // of make_self_attention_layout, or make_self_attention_slots
  int num_workers;
  void* stream;
};

template <class T>
struct combine_self_attention_grad_args {
  combine_input<T> input;
  int64_t num_heads;
  const T* query;          // (dim, dim) W_q
  const T* key;            // (dim, dim) W_k
  const T* value;          // (dim, dim) W_v
  const T* grad;           // (num_rows, dim)
  const T* grad_of_alpha;  // (num_rows, num_layers); or null for zero
  T* const* grad_layers;   // (num_layers,) of (num_rows, dim); or null
  T* grad_query;           // (dim, dim); or null, and so the next two
  T* grad_key;             // (dim, dim)
  T* grad_value;           // (dim, dim)
  T* scratch;              // of make_self_attention_layout, or make_self_attention_slots
  int num_workers;
  void* stream;
};

struct combine_kernels {
  bool in_slots = false;  // scratch is as slots_cuda.hpp says, not layout.hpp
  void (*weighted_f32)(const combine_weighted_args<float>&);
  void (*weighted_f64)(const combine_weighted_args<double>&);
  void (*weighted_grad_f32)(const combine_weighted_grad_args<float>&);
  void (*weighted_grad_f64)(const combine_weighted_grad_args<double>&);
  void (*attention_f32)(const combine_attention_args<float>&);
  void (*attention_f64)(const combine_attention_args<double>&);
  void (*attention_grad_f32)(const combine_attention_grad_args<float>&);
  void (*attention_grad_f64)(const combine_attention_grad_args<double>&);
  void (*self_attention_f32)(const combine_self_attention_args<float>&);
  void (*self_attention_f64)(const combine_self_attention_args<double>&);
  void (*self_attention_grad_f32)(const combine_self_attention_grad_args<float>&);
  void (*self_attention_grad_f64)(const combine_self_attention_grad_args<double>&);

  void run(const combine_weighted_args<float>& args) const { weighted_f32(args); }
  void run(const combine_weighted_args<double>& args) const { weighted_f64(args); }
  void run(const combine_weighted_grad_args<float>& args) const { weighted_grad_f32(args); }
  void run(const combine_weighted_grad_args<double>& args) const { weighted_grad_f64(args); }
  void run(const combine_attention_args<float>& args) const { attention_f32(args); }
  void run(const combine_attention_args<double>& args) const { attention_f64(args); }
  void run(const combine_attention_grad_args<float>& args) const { attention_grad_f32(args); }
  void run(const combine_attention_grad_args<double>& args) const { attention_grad_f64(args); }
  void run(const combine_self_attention_args<float>& args) const { self_attention_f32(args); }
  void run(const combine_self_attention_args<double>& args) const { self_attention_f64(args); }
  void run(const combine_self_attention_grad_args<float>& args) const { self_attention_grad_f32(args); }
  void run(const combine_self_attention_grad_args<double>& args) const { self_attention_grad_f64(args); }
};

}  // namespace pyrec
