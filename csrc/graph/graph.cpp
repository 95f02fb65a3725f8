#include "graph/graph.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "common/check.hpp"

namespace pyrec {

namespace {

constexpr int64_t max_nodes = (int64_t{1} << 31) - 1;

// Rows in pieces of about `edges_per_chunk` edges; a row costs as much as a few edges even when it is empty.
std::vector<int32_t> balanced_chunks(const int64_t* indptr, int64_t num_rows) {
  constexpr int64_t edges_per_chunk = 8192;
  constexpr int64_t edges_per_row = 4;
  std::vector<int32_t> chunks{0};
  int64_t work = 0;
  for (int64_t row = 0; row < num_rows; ++row) {
    work += indptr[row + 1] - indptr[row] + edges_per_row;
    if (work >= edges_per_chunk || row + 1 == num_rows) {
      chunks.push_back(static_cast<int32_t>(row + 1));
      work = 0;
    }
  }
  return chunks;
}

int64_t checked_count(const char* name, int64_t count) {
  check_range(name, count, 0, max_nodes);
  return count;
}

// What a twin holds is a copy: where it lies on the CPU, that is looked at.
template <class T>
void check_copy(const tensor& copy, const T* original) {
  if (!copy.where().on_cpu() || copy.numel() == 0) return;
  const auto* values = copy.data<const T>();
  const int64_t at = std::mismatch(values, values + copy.numel(), original).first - values;
  if (at < copy.numel())
    fail_index(copy.name(), at, values[at], "but the graph's is " + std::to_string(original[at]));
}

void check_order(const interaction_list& list, int64_t i) {
  if (i == 0 || list.users[i] > list.users[i - 1]) return;
  if (list.users[i] < list.users[i - 1]) {
    fail_index("users", i, list.users[i],
               "less than the user before it; sort interactions by user, then item");
  }
  if (list.items[i] <= list.items[i - 1]) {
    fail_index("items", i, list.items[i],
               "not above the same user's item before it; sort interactions and merge duplicates");
  }
}

}  // namespace

graph::graph(const py::handle& indptr_source, const py::handle& indices_source, int64_t users, int64_t items)
    : num_users(checked_count("num_users", users)),
      num_items(checked_count("num_items", items)),
      indptr(input(indptr_source, "indptr", dtype::int64, {users + items + 1})),
      indices(input(indices_source, "indices", dtype::int32, {any_size})),
      schedule_(std::make_shared<lazy_schedule>()) {
  check_range("num_users + num_items", num_nodes(), 0, max_nodes);
  const py::gil_scoped_release unlocked;
  const auto* pointers = indptr.data<const int64_t>();
  const auto* columns = indices.data<const int32_t>();
  check_indptr("indptr", pointers, num_nodes(), num_edges());
  if (2 * pointers[num_users] != num_edges()) {
    fail_index("indptr", num_users, pointers[num_users],
               "but users have half of the " + std::to_string(num_edges()) +
                   " edges; each interaction is in two rows, its user's and its item's");
  }
  check_indices("indices", pointers, columns, num_users, num_users, num_nodes(), "a user's neighbours");
  check_indices("indices", pointers + num_users, columns, num_items, 0, num_users, "an item's neighbours");
  chunks = balanced_chunks(pointers, num_nodes());
}

graph::graph(const graph& host, const py::handle& indptr_source, const py::handle& indices_source,
             const py::handle& schedule_source)
    : num_users(host.num_users),
      num_items(host.num_items),
      indptr(indptr_source, "indptr"),
      indices(indices_source, "indices"),
      schedule_(host.schedule_) {
  require(indptr, dtype::int64, {num_nodes() + 1}, place_of(indptr));
  require(indices, dtype::int32, {host.num_edges()}, place_of(indptr));
  const std::vector<int32_t>& values = host.schedule().values();
  const auto size = static_cast<int64_t>(values.size());
  copied_schedule_.emplace(input(schedule_source, "schedule", dtype::int32, {size}, place_of(indptr)));
  if (reinterpret_cast<uintptr_t>(copied_schedule_->data<void>()) % alignof(row_task) != 0) {
    throw data_error("schedule does not start at a multiple of 16 bytes; pass a copy of it");
  }
  if (!host.indptr.where().on_cpu()) return;
  check_copy(indptr, host.indptr.data<const int64_t>());
  check_copy(indices, host.indices.data<const int32_t>());
  check_copy(*copied_schedule_, values.data());
}

const schedule_arrays& graph::schedule() const {
  std::call_once(schedule_->once,
                 [this] { schedule_->arrays.emplace(indptr.data<const int64_t>(), num_nodes()); });
  return *schedule_->arrays;
}

row_schedule graph::device_schedule() const {
  const schedule_arrays& arrays = schedule();
  return arrays.view(copied_schedule_ ? copied_schedule_->data<const int32_t>() : arrays.values().data());
}

void check_interactions(const interaction_list& list) {
  check_range("num_users + num_items", list.num_users + list.num_items, 0, max_nodes);
  for (int64_t i = 0; i < list.count; ++i) {
    check_bound("users", "users", i, list.users[i], list.num_users);
    check_bound("items", "items", i, list.items[i], list.num_items);
    check_order(list, i);
    if (list.weights != nullptr && !(std::isfinite(list.weights[i]) && list.weights[i] > 0)) {
      throw data_error("weights[" + std::to_string(i) + "] = " + std::to_string(list.weights[i]) +
                       ", but an edge's weight is a finite number above 0; drop the interaction instead");
    }
  }
}

void build_csr(const interaction_list& list, int64_t* indptr, int32_t* indices, float* weights) {
  const int64_t num_nodes = list.num_users + list.num_items;
  const auto offset = static_cast<int32_t>(list.num_users);
  std::fill_n(indptr, num_nodes + 1, int64_t{0});
  for (int64_t i = 0; i < list.count; ++i) {
    ++indptr[list.users[i] + 1];
    ++indptr[offset + list.items[i] + 1];
  }
  for (int64_t node = 0; node < num_nodes; ++node) indptr[node + 1] += indptr[node];
  std::vector<int64_t> next(indptr + list.num_users, indptr + num_nodes);  // where each item's next user goes
  for (int64_t i = 0; i < list.count; ++i) {
    indices[i] = offset + list.items[i];
    const int64_t position = next[static_cast<size_t>(list.items[i])]++;
    indices[position] = list.users[i];
    if (weights != nullptr) weights[i] = weights[position] = list.weights[i];
  }
}

}  // namespace pyrec
