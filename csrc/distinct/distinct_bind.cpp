#include <algorithm>

#include "common/check.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

constexpr int64_t most_distinct = INT32_MAX / 2;

int64_t checked_distinct_sums(int64_t count) {
  check_range("count", count, 0, most_distinct);
  return distinct_sums(count);
}

// The number of rows.
int64_t distinct_on_cpu(const distinct_args& a, const std::string& name) {
  std::fill_n(a.first_seen, a.num_ids, -1);
  int32_t distinct = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    check_bound(name.c_str(), name.c_str(), i, a.ids[i], a.num_ids);
    int32_t& row = a.first_seen[a.ids[i]];
    if (row < 0) {
      a.rows[distinct] = a.ids[i];
      row = distinct++;
    }
    a.position[i] = row;
  }
  a.sums[distinct_sums(a.count) - 1] = distinct;
  return distinct;
}

// ids, rows, position: (count,); first_seen: (num_ids,); sums: (distinct_sums(count),). Returns the length of rows: a
// device does not say how many there are, but fills the rest with -1. bad_ids: (1,) becomes true where a device
// finds an id out of range; without it, on the CPU, that is an error now. name: what the message calls the ids.
int64_t distinct_ids(const py::object& ids_source, const py::object& first_seen_source,
                     const py::object& sums_source, const py::object& rows_source,
                     const py::object& position_source, const py::object& bad_ids_source,
                     const std::string& name, int64_t stream) {
  const tensor ids(ids_source, name.c_str());
  const place at = place_of(ids);
  require(ids, dtype::int64, {any_size}, at);
  const int64_t count = ids.size(0);
  check_range((name + ".shape[0]").c_str(), count, 0, most_distinct);
  const tensor first_seen = output(first_seen_source, "first_seen", dtype::int32, {any_size}, at);
  const tensor sums = output(sums_source, "sums", dtype::int32, {distinct_sums(count)}, at);
  const tensor rows = output(rows_source, "rows", dtype::int64, {count}, at);
  const tensor position = output(position_source, "position", dtype::int64, {count}, at);
  const auto bad_ids = optional_output(bad_ids_source, "bad_ids", dtype::boolean, {1}, at);
  if (!at.where.on_cpu() && !bad_ids) throw data_error("bad_ids is needed on a device; pass (1,) bool");
  bool any_bad = false;
  const distinct_args args{.ids = ids.data<const int64_t>(),
                           .count = count,
                           .num_ids = first_seen.size(0),
                           .first_seen = first_seen.data<int32_t>(),
                           .sums = sums.data<int32_t>(),
                           .rows = rows.data<int64_t>(),
                           .position = position.data<int64_t>(),
                           .bad_ids = bad_ids ? bad_ids->data<bool>() : &any_bad,
                           .stream = stream_of(stream)};
  const kernels_on kernels(at.where);
  const py::gil_scoped_release unlocked;
  if (kernels->distinct.run == nullptr) return distinct_on_cpu(args, name);
  kernels->distinct.run(args);
  if (any_bad) check_bounds(ids, name.c_str(), args.num_ids);
  return count;
}

}  // namespace

void bind_distinct(py::module_& m) {
  m.def("distinct_sums", &checked_distinct_sums, py::arg("count"),
        "Numbers of scratch that distinct_ids needs.");
  m.def("distinct_ids", &distinct_ids, py::arg("ids"), py::arg("first_seen"), py::arg("sums"),
        py::arg("rows"), py::arg("position"), py::arg("bad_ids") = py::none(), py::arg("name") = "ids",
        py::arg("stream") = 0);
}

}  // namespace pyrec
