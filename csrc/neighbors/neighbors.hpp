#pragma once
// The items that most users share with each item.
//
//   w_ij = c_ij / (sqrt(n_i n_j) + shrinkage),   c_ij users of both items, n_i users of item i
//
// Of the row's item i each other item j may count f_j times; `roots` may hold other powers of n than the square root.
//
// With weights r_ui of the interactions c_ij = sum_u r_ui r_uj and n_i = c_ii, each product and each sum rounded to
// float32, users in ascending order.
//
// Each item's row of c is made by itself, from the rows of its users, and only its k best stay.
#include "graph/graph.hpp"

namespace pyrec {

struct nearest_items_args {
  const graph& interactions;
  const float* edge_weights;  // (num_edges,) at least 0, or null where each is 1
  int64_t first;              // the item of row 0
  int64_t count;              // rows
  int64_t k;                  // at least 1
  float shrinkage;            // at least 0
  const float* roots;         // (num_items,) sqrt(n_j)
  const float* factors;       // (num_items,) f_j above 0, or 0 where n_j is; null where each is 1
  int32_t* scratch;           // (num_workers, 2 num_items + 1)
  float* sums;                // (num_workers, num_items), null without weights
  int64_t num_workers;        // at least 1
  int32_t* ids;    // (count, k): best first, equal ones by smaller id, then -1; never the row's item
  float* weights;  // (count, k): above 0, then 0
};

void nearest_items(const nearest_items_args& args);

}  // namespace pyrec
