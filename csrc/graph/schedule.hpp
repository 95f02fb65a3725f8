#pragma once
// The order in which a CUDA device takes the rows of a graph: those of most edges first, so that the rows a
// warp works on side by side are about equally long. A long row is cut into pieces whose sums are added in a
// second phase, in their order.
#include <cstdint>
#include <vector>

namespace pyrec {

constexpr int64_t long_row = 256;    // edges; a row of more is cut, into pieces of about as many
constexpr int64_t max_pieces = 256;  // of one row

// Views of one int32 array: order, then piece_first, then piece_row.
struct row_schedule {
  const int32_t* order;        // (num_nodes,) rows, by falling number of edges
  const int32_t* piece_first;  // (num_long + 1,) the first piece of order[i]
  const int32_t* piece_row;    // (num_pieces,) the i of each piece
  int64_t num_nodes;
  int64_t num_long;
  int64_t num_pieces;
};

class schedule_arrays {
 public:
  schedule_arrays(const int64_t* indptr, int64_t num_nodes);  // indptr: (num_nodes + 1,)

  const std::vector<int32_t>& values() const { return values_; }
  row_schedule view(const int32_t* values) const;  // of this array, or of its copy on a device

 private:
  int64_t num_nodes_;
  int64_t num_long_ = 0;
  std::vector<int32_t> values_;
};

}  // namespace pyrec
