#pragma once
// The loss of labelled pairs of a batch, with its gradients, on the vectors of the batch's distinct nodes:
//
//   x_s = u_s . i_s + b_u + b_i
//   l_s = log(1 + exp(x_s)) - y_s x_s      logistic, y in [0, 1]
//   l_s = (x_s - y_s)^2 / 2                squared
//   L   = sum_s w_s l_s / W,   W = sum_s w_s
//
//   r_s = w_s (f(x_s) - y_s) / W           f(x) = sigmoid(x) or x
//   du_s += r_s i_s     di_s += r_s u_s     db_u += r_s     db_i += r_s
//   dy_s = w_s d_s / W  with d_s = -x_s of the logistic and y_s - x_s of the squared loss
//   dw_s = (l_s - L) / W
//
// Samples are taken one after the other by one thread, as those of csrc/bpr are.
#include <cmath>
#include <cstdint>

#include "common/inline.hpp"

namespace pyrec {

enum class pointwise_kind { logistic, squared };

template <class T>
struct pointwise_args {
  pointwise_kind kind;
  const T* vectors;  // (num_rows, dim)
  const T* bias;     // (num_rows,) b; null for 0
  int64_t num_rows;
  int64_t dim;
  const int64_t* users;  // (num_samples,) rows of vectors
  const int64_t* items;  // (num_samples,)
  const T* label;        // (num_samples,) y
  const T* weight;       // (num_samples,) w; null for 1
  int64_t num_samples;
  T* loss;         // (1,)
  T* grad;         // (num_rows, dim) dloss/dvectors
  T* grad_bias;    // (num_rows,) dloss/dbias; may be null
  T* grad_label;   // (num_samples,) dloss/dlabel; may be null
  T* grad_weight;  // (num_samples,) dloss/dweight; may be null

  // For kernels on a device.
  void* scratch;  // of as many bytes as pointwise_kernels::scratch says
  void* stream;
};

struct pointwise_kernels {
  // Makes the loss NaN where a row is out of range or labels or weights are unsound; else the binding checks.
  bool checks_input = false;
  void (*f32)(const pointwise_args<float>&);
  void (*f64)(const pointwise_args<double>&);
  int64_t (*scratch_f32)(const pointwise_args<float>&) = nullptr;  // null: no scratch is needed
  int64_t (*scratch_f64)(const pointwise_args<double>&) = nullptr;

  void run(const pointwise_args<float>& args) const { f32(args); }
  void run(const pointwise_args<double>& args) const { f64(args); }
  int64_t scratch(const pointwise_args<float>& args) const { return scratch_f32 ? scratch_f32(args) : 0; }
  int64_t scratch(const pointwise_args<double>& args) const { return scratch_f64 ? scratch_f64(args) : 0; }
};

// A sample's loss and its derivatives in score and label.
struct pointwise_loss {
  double loss;
  double by_score;
  double by_label;
};

// The logistic loss by terms that are all of one sign, so that none cancels another where it is small:
// with e = exp(-|x|), l = log(1 + e) + (1 - y) x for x > 0, else log(1 + e) - y x.
PYREC_HOST_DEVICE PYREC_INLINE pointwise_loss pointwise_loss_of(pointwise_kind kind, double x, double y) {
  if (kind == pointwise_kind::squared) return {(x - y) * (x - y) / 2, x - y, y - x};
  const double decay = exp(-fabs(x));
  const double rest = decay / (1 + decay);  // sigmoid(-|x|)
  const double loss = log1p(decay) + (x > 0 ? (1 - y) * x : -y * x);
  return {loss, x > 0 ? (1 - y) - rest : rest - y, -x};
}

// Whether a label is one of its kind.
template <class T>
PYREC_HOST_DEVICE PYREC_INLINE bool sound_label(pointwise_kind kind, T label) {
  if (kind == pointwise_kind::logistic) return label >= 0 && label <= 1;
  return label - label == 0;  // neither infinite nor NaN
}

}  // namespace pyrec
