#pragma once
// Rows of a layer, or rows that stand for some of its nodes, each times a number of its node:
//
//   out[i] = factor[rows[i]] * x[rows[i]]     or, by_entry,     out[i] = factor[rows[i]] * x[i]
//
// A row of -1, which pads a batch's nodes on a device, and any other that is no node becomes zeros.
#include <cstdint>

#include "common/bfloat16.hpp"

namespace pyrec {

template <class T, class X = T>
struct take_rows_args {
  const int64_t* rows;  // (num_rows,)
  int64_t num_rows;
  int64_t num_nodes;
  int64_t dim;
  const X* x;       // (num_nodes, dim), or (num_rows, dim) by entry
  const T* factor;  // (num_nodes,); null for 1
  T* out;           // (num_rows, dim)
  bool by_entry;
  void* stream;
};

struct take_rows_kernels {
  void (*f32)(const take_rows_args<float>&);
  void (*f64)(const take_rows_args<double>&);
  void (*bf16_to_f32)(const take_rows_args<float, bfloat16>&);

  void operator()(const take_rows_args<float>& args) const { f32(args); }
  void operator()(const take_rows_args<double>& args) const { f64(args); }
  void operator()(const take_rows_args<float, bfloat16>& args) const { bf16_to_f32(args); }
};

}  // namespace pyrec
