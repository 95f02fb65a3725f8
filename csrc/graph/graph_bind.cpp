#include <algorithm>

#include "common/check.hpp"
#include "graph/graph.hpp"

namespace pyrec {

namespace {

void build_graph_csr(const py::handle& users_source, const py::handle& items_source,
                     const py::handle& weights_source, int64_t num_users, int64_t num_items,
                     const py::handle& indptr_source, const py::handle& indices_source,
                     const py::handle& out_weights_source) {
  check_range("num_users", num_users, 0, INT32_MAX);
  check_range("num_items", num_items, 0, INT32_MAX);
  const tensor users = input(users_source, "users", dtype::int32, {any_size});
  const int64_t count = users.size(0);
  const tensor items = input(items_source, "items", dtype::int32, {count});
  const auto weights = optional_input(weights_source, "weights", dtype::float32, {count});
  const tensor indptr = output(indptr_source, "indptr", dtype::int64, {num_users + num_items + 1});
  const tensor indices = output(indices_source, "indices", dtype::int32, {2 * count});
  const auto out_weights = optional_output(out_weights_source, "out_weights", dtype::float32, {2 * count});
  if (weights.has_value() != out_weights.has_value()) {
    throw data_error("weights and out_weights go together; pass both or neither");
  }
  const interaction_list list{.users = users.data<const int32_t>(),
                              .items = items.data<const int32_t>(),
                              .weights = pointer<float>(weights),
                              .count = count,
                              .num_users = num_users,
                              .num_items = num_items};
  const py::gil_scoped_release unlocked;
  check_interactions(list);
  build_csr(list, indptr.data<int64_t>(), indices.data<int32_t>(), mutable_pointer<float>(out_weights));
}

void copy_schedule(const graph& g, const py::handle& out_source) {
  const std::vector<int32_t>& values = g.schedule().values();
  const tensor out = output(out_source, "out", dtype::int32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), out.data<int32_t>());
}

}  // namespace

void bind_graph(py::module_& m) {
  py::class_<graph>(m, "Graph", py::module_local(),
                    "A validated bipartite graph in CSR form; keeps its arrays alive.")
      .def(py::init<const py::handle&, const py::handle&, int64_t, int64_t>(), py::arg("indptr"),
           py::arg("indices"), py::arg("num_users"), py::arg("num_items"))
      .def(py::init<const graph&, const py::handle&, const py::handle&, const py::handle&>(), py::arg("host"),
           py::arg("indptr"), py::arg("indices"), py::arg("schedule"))
      .def_property_readonly("schedule_size", [](const graph& g) { return g.schedule().values().size(); })
      .def("copy_schedule", &copy_schedule, py::arg("out"))
      .def_readonly("num_users", &graph::num_users)
      .def_readonly("num_items", &graph::num_items)
      .def_property_readonly("num_nodes", &graph::num_nodes)
      .def_property_readonly("num_edges", &graph::num_edges);
  m.def("build_graph_csr", &build_graph_csr, py::arg("users"), py::arg("items"), py::arg("weights"),
        py::arg("num_users"), py::arg("num_items"), py::arg("indptr"), py::arg("indices"),
        py::arg("out_weights"));
}

}  // namespace pyrec
