#pragma once
// How a CUDA device cuts the rows of a graph into tasks. A long row is cut into pieces, whose sums are added
// in a second phase, in their order. The pieces come first, then the other rows by falling number of edges,
// so that the tasks that a warp works on side by side are about equally long.
#include <cstdint>
#include <vector>

namespace pyrec {

constexpr int64_t long_row = 128;  // edges; a row of more is cut, into pieces of about as many
constexpr int64_t max_pieces =
    256;  // of one row, which the second phase adds in sequence: longer rows have longer pieces

struct alignas(16) row_task {
  int64_t begin;  // edges [begin, begin + count) of the node's row
  int32_t count;
  int32_t node;
};

// Views of one int32 array: tasks, then long_rows, then piece_first.
struct row_schedule {
  const row_task* tasks;       // (num_tasks,)
  const int32_t* long_rows;    // (num_long,) nodes, by falling number of edges
  const int32_t* piece_first;  // (num_long + 1,) the first piece of long_rows[i]
  int64_t num_nodes;
  int64_t num_long;
  int64_t num_pieces;
  int64_t num_tasks;  // num_pieces + num_nodes - num_long
};

class schedule_arrays {
 public:
  schedule_arrays(const int64_t* indptr, int64_t num_nodes);  // indptr: (num_nodes + 1,)

  const std::vector<int32_t>& values() const { return values_; }
  row_schedule view(const int32_t* values) const;  // of this array, or of its copy on a device

 private:
  int64_t num_nodes_;
  int64_t num_long_ = 0;
  int64_t num_pieces_ = 0;
  std::vector<int32_t> values_;
};

}  // namespace pyrec
