#pragma once
// Additive attention over ragged segments, with K heads. Slot i of a segment has row r = index[i] of x:
//
//   s_ik = v_k . tanh(W x_r + b) + o_ik           without W: v_k . x_r + o_ik
//   alpha_k = softmax of s_k over the slots of a segment
//   out_k = sum_i alpha_ik x_r
//
// Backward, with g_k the gradient of out_k and dalpha_ik = <g_k, x_r>:
//
//   do_ik = ds_ik = alpha_ik (dalpha_ik - sum_j alpha_jk dalpha_jk)
//   dx_r += sum_k alpha_ik g_k over the slots i of r, and what comes by the scores of r, ds_rk = sum_i ds_ik:
//   t = tanh(W x_r + b)    dv_k += ds_rk t    z = (sum_k ds_rk v_k) (1 - t^2)
//   db += z                dW += z x_r^T      dx_r += W^T z
//
// A row is projected and scored once, however many slots have it. Combine's attention is the case of segments of
// one length, and has the rows' scores from here. Only alpha is kept for the backward pass.
#include <cstdint>

#include "common/function_table.hpp"

namespace pyrec {

// Parameters of the scores.
template <class T>
struct score_weights {
  const T* weight;  // (hidden, dim) W; null for scores that are linear in x, and so the next
  const T* bias;    // (hidden,) b
  const T* vector;  // (heads, hidden) v, or (heads, dim) without W; null where the scores are given
  int64_t hidden;
  int64_t heads;  // K
};

template <class T>
struct pool_input {
  const T* x;  // (num_rows, dim)
  int64_t num_rows;
  int64_t dim;
  const int64_t* indptr;  // (num_segments + 1,)
  int64_t num_segments;
  const int64_t* index;  // (num_slots,) rows of x; null: slot i has row i
  int64_t num_slots;
  score_weights<T> attention;
};

template <class T>
struct pool_args {
  pool_input<T> input;
  const T* offset;  // (num_slots, heads) o; null for 0
  T* scores;        // (num_rows, heads): given where attention.vector is null, else scratch
  T* out;           // (num_segments, heads, dim)
  T* alpha;         // (num_slots, heads)
  T* scratch;
  int num_workers;
  void* stream;
};

template <class T>
struct pool_grad_args {
  pool_input<T> input;
  const T* alpha;          // (num_slots, heads)
  const T* grad;           // (num_segments, heads, dim)
  const T* grad_of_alpha;  // (num_slots, heads); null for 0
  T* grad_x;               // (num_rows, dim); null where it is not asked for
  T* grad_weight;          // (hidden, dim); null without W or where the parameters are not asked for
  T* grad_bias;            // (hidden,)
  T* grad_vector;          // as vector; null where it is not asked for
  T* grad_scores;          // (num_rows, heads) where the scores are given; null where they are not asked for
  T* grad_offset;          // (num_slots, heads) ds; always there
  T* scratch;
  int num_workers;
  void* stream;
};

struct pool_kernels {
  // Whether scores are made by the kernel; else they are given.
  bool scores_rows = true;
  // Makes NaN of segments whose pointers or index are unsound; else the binding checks.
  bool checks_input = false;
  function_table<pool_args<float>, pool_args<double>> pool;
  function_table<pool_grad_args<float>, pool_grad_args<double>> pool_grad;
  // Numbers of scratch, for arguments without arrays.
  int64_t (*scratch_f32)(const pool_input<float>&, bool backward, int num_workers);
  int64_t (*scratch_f64)(const pool_input<double>&, bool backward, int num_workers);

  int64_t scratch(const pool_input<float>& input, bool backward, int num_workers) const {
    return scratch_f32(input, backward, num_workers);
  }
  int64_t scratch(const pool_input<double>& input, bool backward, int num_workers) const {
    return scratch_f64(input, backward, num_workers);
  }
};

}  // namespace pyrec
