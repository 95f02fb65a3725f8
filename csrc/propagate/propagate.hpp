#pragma once
// One layer of propagation, a sum of rows and a scale:
//
//   acc[i]  = sum over edges e of row i:  m_e * x[indices[e]]        m_e = 1, pre[indices[e]] or weights[e]
//             of those that dropout keeps
//   out[i]  = post[i] * acc[i]  +  add_scale[i] * add[add_row[i]]
//   total[i] += total_alpha * total_scale[i] * acc[i]
//
// and, where parameters are given, one step of Adam on row i with out[i] as its gradient, which is then not
// stored:
//
//   m = beta1 m + (1 - beta1) g
//   v = beta2 v + (1 - beta2) g^2
//   p -= step_size m / (sqrt(v) root_scale + epsilon)
//
// Forward, backward and every restriction to rows are choices among these terms; pyrec/ops/propagate.py
// composes layers from them. A null pointer leaves its factor or term out.
//
// Numbers are computed and summed in T. A row of x or out may be stored in less: X and Out are T, or bfloat16
// where T is float. A bfloat16 x goes without pre and x_row: it is a layer between others, whole and scaled; a
// bfloat16 out goes without Adam.
#include <cstdint>

#include "common/bfloat16.hpp"
#include "common/function_table.hpp"
#include "graph/schedule.hpp"
#include "propagate/dropout.hpp"

namespace pyrec {

constexpr int64_t propagate_max_dim = 512;

template <class T>
struct adam_step {
  T* parameters;     // (num_nodes, dim); null for no step
  T* first_moment;   // (num_nodes, dim) m
  T* second_moment;  // (num_nodes, dim) v
  T beta1;
  T beta2;
  T step_size;   // learning rate / (1 - beta1^t)
  T root_scale;  // 1 / sqrt(1 - beta2^t)
  T epsilon;
  const T* numbers;  // (2,) step_size and root_scale in memory, in place of those above; or null
};

template <class T, class X = T, class Out = T>
struct propagate_args {
  static constexpr bool half_source = sizeof(X) < sizeof(T);
  static constexpr bool half_out = sizeof(Out) < sizeof(T);

  const int64_t* indptr;   // (num_nodes + 1,)
  const int32_t* indices;  // (num_edges,)
  const int32_t* chunks;   // (num_chunks + 1,) row boundaries of the pieces of work
  int64_t num_chunks;
  int64_t num_edges;
  int64_t dim;
  int64_t fetch_ahead_bytes;  // of rows of x, which are fetched before they are needed

  edge_dropout dropout;

  const int64_t* rows;  // (num_rows,) compute these rows alone, row rows[i] into out[i]; or null
  int64_t num_rows;

  const X* x;              // (num_nodes, dim), or any rows of dim with x_row; or null, then acc = 0
  const int32_t* x_row;    // (num_nodes,) the row of x for each node, -1 where that is zero; or null
  const T* weights;        // (num_edges,)
  const T* pre;            // (num_nodes,)
  const T* post;           // (num_nodes,)
  const T* add;            // (num_nodes, dim), or any rows of dim with add_row
  const int32_t* add_row;  // (num_nodes,) as x_row
  const T* add_scale;      // (num_nodes,)
  Out* out;                // (num_nodes, dim), or (num_rows, dim) with rows
  T* total;                // (num_nodes, dim)
  const T* total_scale;    // (num_nodes,)
  T total_alpha;
  adam_step<T> adam;
  bool* not_finite;  // (1,) becomes true where a number of acc is not finite

  // For kernels that split rows; null for the others.
  row_schedule schedule;
  const int32_t* row_of_node;  // (num_nodes,) with rows: the position of each node in them, or -1
  T* partial;                  // (schedule.num_pieces, dim) scratch
  void* stream;
};

// row_of_node[rows[i]] = i, and -1 for every node that is not in rows.
struct rows_of_nodes_args {
  const int64_t* rows;  // (num_rows,)
  int64_t num_rows;
  int32_t* row_of_node;  // (num_nodes,)
  int64_t num_nodes;
  bool* bad_rows;  // (1,) becomes true where a row is out of range or there twice
  void* stream;
};

// By T, X and Out.
using propagate_layers =
    function_table<propagate_args<float>, propagate_args<double>, propagate_args<float, float, bfloat16>,
                   propagate_args<float, bfloat16, bfloat16>, propagate_args<float, bfloat16, float>>;

struct propagate_kernels {
  bool splits_rows = false;
  bool reads_adam_numbers = false;  // else the binding does it
  propagate_layers layer;
  void (*rows_of_nodes)(const rows_of_nodes_args&) = nullptr;  // null: the binding does it on the CPU
};

}  // namespace pyrec
