#pragma once
// The bipartite graph A = [[0, R], [R^T, 0]] as one CSR matrix: rows 0 .. num_users - 1 are users, the others
// items; row u lists its items as num_users + item. It is validated when made and trusted from then on.
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/check.hpp"
#include "graph/schedule.hpp"

namespace pyrec {

struct graph {
  int64_t num_users;
  int64_t num_items;
  tensor indptr;                // (num_nodes + 1,) int64
  tensor indices;               // (num_edges,) int32, ascending in each row
  std::vector<int32_t> chunks;  // row boundaries of pieces of about equal work

  graph(const py::handle& indptr, const py::handle& indices, int64_t num_users, int64_t num_items);
  // The twin of a graph on a device, from copies of its arrays and of its schedule.
  graph(const graph& host, const py::handle& indptr, const py::handle& indices, const py::handle& schedule);

  place at() const { return {indptr.where(), "the graph"}; }
  const schedule_arrays& schedule() const;  // made when first asked for
  row_schedule device_schedule() const;     // where the graph lies

  int64_t num_nodes() const { return num_users + num_items; }
  int64_t num_edges() const { return indices.size(0); }

 private:
  struct lazy_schedule {
    std::once_flag once;
    std::optional<schedule_arrays> arrays;
  };
  std::shared_ptr<lazy_schedule> schedule_;  // of a graph and its twins
  std::optional<tensor> copied_schedule_;    // of a twin
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
