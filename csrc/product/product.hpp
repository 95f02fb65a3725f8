#pragma once
// c = a b for dense matrices of any size. With y = x W for rows x, and g the gradient of y:
//
//   dx = g W^T     dW = x^T g
//
// A number of c is one chain of multiply_add over all steps in their order, in every block: its bits depend neither on
// the number of threads nor on the rows and columns beside it.
#include <cstdint>

#include "common/function_table.hpp"

namespace pyrec {

constexpr int64_t product_block_steps = 256;  // that a panel of b is packed for
constexpr int64_t product_block_rows = 504;   // of c, in a task
constexpr int64_t product_panel_bytes = 256;  // of a row of the widest panel
// Of a worker: a panel of b, and the last columns of c where they fill no vector.
constexpr int64_t product_scratch_bytes = (product_block_steps + product_block_rows) * product_panel_bytes;

template <class T>
struct product_args {
  const T* a;  // (rows, steps): number (i, s) is a[i * a_row + s * a_step]
  int64_t a_row, a_step;
  const T* b;  // (steps, columns): number (s, j) is b[s * b_step + j * b_column], and one of both is 1
  int64_t b_step, b_column;
  T* c;  // (rows, columns)
  int64_t rows, steps, columns;
  void* scratch;  // (num_workers, product_scratch_bytes)
  int num_workers;
};

struct product_kernels {
  function_table<product_args<float>, product_args<double>> multiply;
};

}  // namespace pyrec
