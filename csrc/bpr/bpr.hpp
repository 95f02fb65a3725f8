#pragma once
// The BPR loss of a batch, with its gradient, on the vectors of the batch's distinct nodes:
//
//   x_{s,j} = u_s . (n_{s,j} - p_s)
//   loss    = the mean over samples s and negatives j of log(1 + exp(x_{s,j}))
//   w_{s,j} = sigmoid(x_{s,j}) / (S J)
//   du_s += w_{s,j} (n_{s,j} - p_s)     dp_s -= w_{s,j} u_s     dn_{s,j} += w_{s,j} u_s
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
  T* loss;  // (1,)
  T* grad;  // (num_rows, dim) dloss/dvectors

  // For kernels on a device.
  void* scratch;  // of as many bytes as bpr_kernels::scratch says
  void* stream;
};

struct bpr_kernels {
  bool checks_rows = false;  // makes the loss NaN where a row is out of range; else the binding checks before
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
