#pragma once
// How far a step of the vectors a in the direction v moves the scores of pairs, and what a weight of a pair does:
//
//   x_k = a_u . a_i + b_u + b_i            a pair's score
//   s_k = v_u . a_i + a_u . v_i + t_u + t_i        its derivative in the direction (v, t): the agreement
//
// Vectors that take one step of plain gradient descent, a' = a - rate * sum_k w_k grad l_k(a), end in a loss L(a'). A
// step is linear in its weights. So with (v, t) = grad L(a') no second derivative is needed:
//
//   dL/dw_k = -rate l'(x_k, y_k) s_k        dL/dy_k = rate w_k s_k
//
// since l' of both losses of csrc/pointwise is f(x) - y. Sums by group g add dL/dw_k over the pairs of a group.
#include <cstdint>

#include "pointwise/pointwise.hpp"

namespace pyrec {

template <class T>
struct agreement_args {
  const T* vectors;         // (num_rows, dim) a
  const T* direction;       // (num_rows, dim) v
  const T* bias;            // (num_rows,) b; null for 0
  const T* bias_direction;  // (num_rows,) t; null for 0
  int64_t num_rows;
  int64_t dim;
  const int64_t* users;  // (num_samples,) rows of vectors
  const int64_t* items;  // (num_samples,)
  int64_t num_samples;
  T* agreement;  // (num_samples,) s

  // The gradients of weights and labels; label is null where s alone is asked for.
  pointwise_kind kind;
  double rate;
  const T* label;         // (num_samples,) y
  const T* weight;        // (num_samples,) w; null for 1
  const int64_t* groups;  // (num_samples,) in [0, num_groups); null for none
  int64_t num_groups;
  T* grad_weight;  // (num_samples,)
  T* grad_label;   // (num_samples,)
  T* sums;         // (num_groups,) of grad_weight

  // For kernels on a device.
  void* scratch;  // of as many bytes as agreement_kernels::scratch says
  void* stream;
};

struct agreement_kernels {
  // Makes NaN of what a row, a label or a group is unsound for; else the binding checks.
  bool checks_input = false;
  void (*f32)(const agreement_args<float>&);
  void (*f64)(const agreement_args<double>&);
  int64_t (*scratch_f32)(const agreement_args<float>&) = nullptr;  // null: no scratch is needed
  int64_t (*scratch_f64)(const agreement_args<double>&) = nullptr;

  void run(const agreement_args<float>& args) const { f32(args); }
  void run(const agreement_args<double>& args) const { f64(args); }
  int64_t scratch(const agreement_args<float>& args) const { return scratch_f32 ? scratch_f32(args) : 0; }
  int64_t scratch(const agreement_args<double>& args) const { return scratch_f64 ? scratch_f64(args) : 0; }
};

// dL/dw and dL/dy of a pair with a score, a label, a weight and an agreement.
struct pair_gradient {
  double by_weight;
  double by_label;
};

PYREC_HOST_DEVICE PYREC_INLINE pair_gradient pair_gradient_of(pointwise_kind kind, double rate, double x,
                                                              double y, double weight, double s) {
  return {-rate * pointwise_loss_of(kind, x, y).by_score * s, rate * weight * s};
}

}  // namespace pyrec
