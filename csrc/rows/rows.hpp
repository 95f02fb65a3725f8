#pragma once
// Rows of a table, taken by their numbers, and added to it again.
//
//   take:  out[i] = factor[rows[i]] * x[rows[i]]     or, by_entry,     out[i] = factor[rows[i]] * x[i]
//   add:   out[r] = the sum of x[i] over i ascending with rows[i] = r
//
// A row of -1, which pads a batch's nodes on a device, and any other that the table has not, becomes zeros
// when it is taken, and is left out when rows are added.
#include <cstdint>

#include "common/bfloat16.hpp"
#include "common/function_table.hpp"

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

template <class T>
struct add_rows_args {
  const int64_t* rows;  // (num_rows,)
  int64_t num_rows;
  int64_t num_nodes;
  int64_t dim;
  const T* x;     // (num_rows, dim)
  T* out;         // (num_nodes, dim)
  void* scratch;  // of as many bytes as rows_kernels::scratch says
  void* stream;
};

struct rows_kernels {
  function_table<take_rows_args<float>, take_rows_args<double>, take_rows_args<float, bfloat16>> take;
  function_table<add_rows_args<float>, add_rows_args<double>> add;
  int64_t (*scratch)(int64_t num_rows, int64_t num_nodes) = nullptr;  // of an addition; null: none is needed
};

}  // namespace pyrec
