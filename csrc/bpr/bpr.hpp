#pragma once
// The BPR loss of a batch, with its gradients, on the vectors of the batch's distinct nodes:
//
//   x_{s,j} = u_s . (n_{s,j} - p_s)
//   l_s     = the mean over the sample's J negatives of log(1 + exp(x_{s,j}))
//   L       = sum_s w_s l_s / W,   W = sum_s w_s
//
//   r_{s,j} = w_s sigmoid(x_{s,j}) / (W J)
//   du_s += r_{s,j} (n_{s,j} - p_s)     dp_s -= r_{s,j} u_s     dn_{s,j} += r_{s,j} u_s
//   dw_s  = (l_s - L) / W
//
// Samples are taken one after the other by one thread: a batch of some thousands is done before others have
// been woken, and the order of the sums is fixed.
#include <cstdint>

namespace pyrec {

template <class T>
struct bpr_args {
  const T* vectors;  // (num_rows, dim)
  int64_t num_rows;
  int64_t dim;
  const int64_t* users;      // (num_samples,) rows of vectors
  const int64_t* positives;  // (num_samples,)
  const int64_t* negatives;  // (num_samples, num_negatives)
  int64_t num_samples;
  int64_t num_negatives;
  const T* weight;  // (num_samples,); null for 1
  T* loss;          // (1,)
  T* grad;          // (num_rows, dim) dloss/dvectors
  T* grad_weight;   // (num_samples,) dloss/dweight; may be null

  // For kernels on a device.
  void* scratch;  // of as many bytes as bpr_kernels::scratch says
  void* stream;
};

struct bpr_kernels {
  // Makes the loss NaN where a row is out of range or weights are unsound; else the binding checks before.
  bool checks_input = false;
  void (*f32)(const bpr_args<float>&);
  void (*f64)(const bpr_args<double>&);
  int64_t (*scratch_f32)(const bpr_args<float>&) = nullptr;  // null: no scratch is needed
  int64_t (*scratch_f64)(const bpr_args<double>&) = nullptr;

  void run(const bpr_args<float>& args) const { f32(args); }
  void run(const bpr_args<double>& args) const { f64(args); }
  int64_t scratch(const bpr_args<float>& args) const { return scratch_f32 ? scratch_f32(args) : 0; }
  int64_t scratch(const bpr_args<double>& args) const { return scratch_f64 ? scratch_f64(args) : 0; }
};

}  // namespace pyrec
