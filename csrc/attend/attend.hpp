#pragma once
// Multi-head self-attention within ragged segments, d = head_dim. Slot i of a segment has the queries q_i, keys k_i and
// values v_i of a row of qkv. Per head:
//
//   s_ij = q_i . k_j / sqrt(d) + b_j     A_ij = softmax_j(s_ij) over the segment     out_i = sum_j A_ij v_j
//
// and backward, with g_i the gradient of out_i and A made anew
//
//   dA_ij = g_i . v_j     dS_ij = A_ij (dA_ij - sum_m A_im dA_im)     dv_j = sum_i A_ij g_i     db_j = sum_i dS_ij
//   dq_i = sum_j dS_ij k_j / sqrt(d)     dk_j = sum_i dS_ij q_i / sqrt(d)
//
// Slots that share a row of qkv add to its gradient in their order.
#include <cstdint>

#include "common/function_table.hpp"
#include "common/rounding.hpp"
#include "common/scratch_parts.hpp"

namespace pyrec {

constexpr int64_t attend_most_slots = 64;    // of a segment
constexpr int64_t attend_most_columns = 64;  // of a head

template <class T>
struct attend_args {
  const T* qkv;  // (num_rows, 3, num_heads, head_dim)
  int64_t num_rows;
  int64_t num_heads;
  int64_t head_dim;
  const int64_t* indptr;  // (num_segments + 1,)
  int64_t num_segments;
  const int64_t* index;  // (num_slots,) rows of qkv; null: slot i has row i
  int64_t num_slots;
  int64_t num_added;  // slots whose gradients are added to rows: all of them backward with an index, else 0
  const T* key_bias;  // (num_slots, num_heads) b; null for 0
  T* out;             // (num_slots, num_heads, head_dim); null backward

  // Backward.
  const T* grad;     // (num_slots, num_heads, head_dim)
  T* grad_qkv;       // (num_rows, 3, num_heads, head_dim)
  T* grad_key_bias;  // (num_slots, num_heads); null where it is not asked for

  void* scratch;  // (num_workers, bytes), as many as attend_kernels::scratch says
  int64_t num_workers;
  void* stream;
};

struct attend_kernels {
  // Makes NaN of the slots of unsound segments and rows; else the binding checks.
  bool checks_input = false;
  function_table<attend_args<float>, attend_args<double>> forward;
  function_table<attend_args<float>, attend_args<double>> backward;
  int64_t (*scratch_f32)(const attend_args<float>&);
  int64_t (*scratch_f64)(const attend_args<double>&);

  int64_t scratch(const attend_args<float>& args) const { return scratch_f32(args); }
  int64_t scratch(const attend_args<double>& args) const { return scratch_f64(args); }
};

}  // namespace pyrec
