#include "graph/schedule.hpp"

#include <algorithm>
#include <cstring>

#include "common/rounding.hpp"

namespace pyrec {

namespace {

constexpr size_t task_words = sizeof(row_task) / sizeof(int32_t);

// Rows by falling number of edges, equal ones in their order: a counting sort up to the long ones, which are
// few. Returns how many are long.
int64_t sort_rows(const int64_t* indptr, int64_t num_nodes, int32_t* order) {
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
  return counts[0];
}

// The pieces of a row are equally long but for the last ones.
void cut_row(int64_t begin, int64_t degree, int32_t node, std::vector<row_task>& tasks) {
  const int64_t pieces = std::min(ceil_div(degree, long_row), max_pieces);
  const int64_t length = ceil_div(degree, pieces);
  for (int64_t from = 0; from < degree; from += length) {
    tasks.push_back({begin + from, static_cast<int32_t>(std::min(length, degree - from)), node});
  }
}

}  // namespace

schedule_arrays::schedule_arrays(const int64_t* indptr, int64_t num_nodes) : num_nodes_(num_nodes) {
  std::vector<int32_t> order(static_cast<size_t>(num_nodes));
  num_long_ = sort_rows(indptr, num_nodes, order.data());
  const auto long_end = order.begin() + num_long_;
  std::vector<row_task> tasks;
  std::vector<int32_t> piece_first;
  for (auto node = order.begin(); node != long_end; ++node) {
    piece_first.push_back(static_cast<int32_t>(tasks.size()));
    cut_row(indptr[*node], indptr[*node + 1] - indptr[*node], *node, tasks);
  }
  num_pieces_ = static_cast<int64_t>(tasks.size());
  piece_first.push_back(static_cast<int32_t>(num_pieces_));
  for (auto node = long_end; node != order.end(); ++node) {
    tasks.push_back({indptr[*node], static_cast<int32_t>(indptr[*node + 1] - indptr[*node]), *node});
  }
  values_.resize(task_words * tasks.size());
  if (!tasks.empty()) std::memcpy(values_.data(), tasks.data(), sizeof(row_task) * tasks.size());
  values_.insert(values_.end(), order.begin(), long_end);
  values_.insert(values_.end(), piece_first.begin(), piece_first.end());
}

row_schedule schedule_arrays::view(const int32_t* values) const {
  const int64_t num_tasks = num_pieces_ + num_nodes_ - num_long_;
  const int32_t* long_rows = values + task_words * static_cast<size_t>(num_tasks);
  return {.tasks = reinterpret_cast<const row_task*>(values),
          .long_rows = long_rows,
          .piece_first = long_rows + num_long_,
          .num_nodes = num_nodes_,
          .num_long = num_long_,
          .num_pieces = num_pieces_,
          .num_tasks = num_tasks};
}

}  // namespace pyrec
