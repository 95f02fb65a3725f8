#include "graph/schedule.hpp"

#include <algorithm>

namespace pyrec {

namespace {

// Rows by falling number of edges, equal ones in their order: a counting sort up to the long ones, which are
// few.
void sort_rows(const int64_t* indptr, int64_t num_nodes, int32_t* order) {
  const auto degree = [indptr](int64_t node) { return indptr[node + 1] - indptr[node]; };
  std::vector<int64_t> next(long_row + 2, 0);  // where the next row of long_row + 1 - i edges goes
  const auto bucket = [&](int64_t node) {
    return static_cast<size_t>(long_row + 1 - std::min(degree(node), long_row + 1));
  };
  std::vector<int64_t> counts(long_row + 2, 0);
  for (int64_t node = 0; node < num_nodes; ++node) ++counts[bucket(node)];
  for (size_t i = 1; i < next.size(); ++i) next[i] = next[i - 1] + counts[i - 1];
  for (int64_t node = 0; node < num_nodes; ++node) {
    order[next[bucket(node)]++] = static_cast<int32_t>(node);
  }
  std::stable_sort(order, order + counts[0], [&](int32_t a, int32_t b) { return degree(a) > degree(b); });
}

}  // namespace

schedule_arrays::schedule_arrays(const int64_t* indptr, int64_t num_nodes) : num_nodes_(num_nodes) {
  values_.resize(static_cast<size_t>(num_nodes));
  sort_rows(indptr, num_nodes, values_.data());
  std::vector<int32_t> piece_row;
  for (int32_t i = 0; i < num_nodes; ++i) {
    const int32_t node = values_[static_cast<size_t>(i)];
    const int64_t degree = indptr[node + 1] - indptr[node];
    if (degree <= long_row) break;
    const int64_t pieces = std::min((degree + long_row - 1) / long_row, max_pieces);
    values_.push_back(static_cast<int32_t>(piece_row.size()));
    piece_row.insert(piece_row.end(), static_cast<size_t>(pieces), i);
    ++num_long_;
  }
  values_.push_back(static_cast<int32_t>(piece_row.size()));
  values_.insert(values_.end(), piece_row.begin(), piece_row.end());
}

row_schedule schedule_arrays::view(const int32_t* values) const {
  const int32_t* piece_first = values + num_nodes_;
  return {.order = values,
          .piece_first = piece_first,
          .piece_row = piece_first + num_long_ + 1,
          .num_nodes = num_nodes_,
          .num_long = num_long_,
          .num_pieces = static_cast<int64_t>(values_.size()) - num_nodes_ - num_long_ - 1};
}

}  // namespace pyrec
