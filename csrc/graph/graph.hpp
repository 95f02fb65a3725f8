#pragma once
// The bipartite graph A = [[0, R], [R^T, 0]] as one CSR matrix: rows 0 .. num_users - 1 are users, the others
// items; row u lists its items as num_users + item. It is validated when made and trusted from then on.
#include <cstdint>
#include <vector>

#include "common/dlpack.hpp"

namespace pyrec {

struct graph {
  int64_t num_users;
  int64_t num_items;
  tensor indptr;                // (num_nodes + 1,) int64
  tensor indices;               // (num_edges,) int32, ascending in each row
  std::vector<int32_t> chunks;  // row boundaries of pieces of about equal work

  graph(const py::handle& indptr, const py::handle& indices, int64_t num_users, int64_t num_items);

  int64_t num_nodes() const { return num_users + num_items; }
  int64_t num_edges() const { return indices.size(0); }
};

struct interaction_list {
  const int32_t* users;  // (count,) ascending
  const int32_t* items;  // (count,) ascending among those of one user
  const float* weights;  // (count,) or null
  int64_t count;
  int64_t num_users;
  int64_t num_items;
};

void check_interactions(const interaction_list& list);

// Writes A's arrays by one counting sort: indptr (num_nodes + 1,), indices (2 count,), weights (2 count,) or
// null.
void build_csr(const interaction_list& list, int64_t* indptr, int32_t* indices, float* weights);

}  // namespace pyrec
