#pragma once
// Attention of candidates to the clicks of their readers, without an array of all pairs. With r = index[i] the row of
// slot i, for candidate c and the slots i of segment readers[c]:
//
//   s_ci = v . f(a_c + b_r)        f = relu or tanh
//   alpha_c = softmax_i(s_c)       out_c = sum_i alpha_ci x_r
//
// Backward, with g_c the gradient of out_c:
//
//   ds_ci = alpha_ci (<g_c, x_r> - <g_c, out_c>)        w_ci = ds_ci v f'(a_c + b_r)
//   da_c = sum_i w_ci        db_i = sum_c w_ci        dx_i = sum_c alpha_ci g_c        dv = sum_ci ds_ci f(a_c + b_r)
//
// The forward pass leaves max_i s_ci and 1 / sum_i exp(s_ci - max), from which the backward pass makes alpha again.
// db and dx are those of the slots; those of rows that slots share are the sums over their slots (csrc/rows).
#include <cstdint>

#include "common/function_table.hpp"
#include "common/inline.hpp"
#include "common/scratch_parts.hpp"

namespace pyrec {

enum class candidate_activation { relu, tanh };

template <class T>
struct candidate_input {
  const T* clicks;      // (num_rows, hidden) b
  const T* candidates;  // (num_candidates, hidden) a
  const T* vector;      // (hidden,) v
  const T* values;      // (num_rows, dim) x
  int64_t num_rows;
  int64_t num_candidates;
  int64_t hidden;
  int64_t dim;
  const int64_t* indptr;  // (num_segments + 1,)
  int64_t num_segments;
  const int64_t* index;  // (num_slots,) rows of clicks and values; null: slot i has row i
  int64_t num_slots;
  const int64_t* readers;  // (num_candidates,) segments
  candidate_activation activation;
};

template <class T>
struct candidate_args {
  candidate_input<T> input;
  T* out;    // (num_candidates, dim)
  T* norms;  // (num_candidates, 2): max_i s_ci and 1 / sum_i exp(s_ci - max)
  void* stream;
};

template <class T>
struct candidate_grad_args {
  candidate_input<T> input;
  const T* out;        // (num_candidates, dim)
  const T* norms;      // (num_candidates, 2)
  const T* grad;       // (num_candidates, dim)
  T* grad_clicks;      // (num_slots, hidden)
  T* grad_candidates;  // (num_candidates, hidden)
  T* grad_vector;      // (hidden,)
  T* grad_values;      // (num_slots, dim)
  void* scratch;
  void* stream;
};

struct candidate_kernels {
  // Makes NaN of what a reader, a pointer or an index is unsound for; else the binding checks.
  bool checks_input = false;
  function_table<candidate_args<float>, candidate_args<double>> candidate;
  function_table<candidate_grad_args<float>, candidate_grad_args<double>> candidate_grad;
  int64_t (*scratch_f32)(const candidate_input<float>&);  // bytes for the backward pass
  int64_t (*scratch_f64)(const candidate_input<double>&);

  int64_t scratch(const candidate_input<float>& input) const { return scratch_f32(input); }
  int64_t scratch(const candidate_input<double>& input) const { return scratch_f64(input); }
};

}  // namespace pyrec
