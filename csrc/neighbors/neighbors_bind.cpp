#include <cmath>

#include "common/check.hpp"
#include "neighbors/neighbors.hpp"

namespace pyrec {

namespace {

void nearest(const graph& interactions, int64_t first, double shrinkage, const py::handle& roots_source,
             const py::handle& scratch_source, const py::handle& ids_source, const py::handle& weights_source,
             const py::handle& edge_weights_source, const py::handle& sums_source,
             const py::handle& factors_source) {
  require_place(interactions.indptr, {});
  const tensor ids = output(ids_source, "ids", dtype::int32, {any_size, any_size});
  const int64_t count = ids.size(0);
  const int64_t k = ids.size(1);
  const tensor weights = output(weights_source, "weights", dtype::float32, {count, k});
  const int64_t num_items = interactions.num_items;
  const tensor roots = input(roots_source, "roots", dtype::float32, {num_items});
  const tensor scratch = output(scratch_source, "scratch", dtype::int32, {any_size, 2 * num_items + 1});
  const auto edge_weights =
      optional_input(edge_weights_source, "edge_weights", dtype::float32, {interactions.num_edges()});
  const auto sums = optional_output(sums_source, "sums", dtype::float32, {scratch.size(0), num_items});
  if (edge_weights.has_value() != sums.has_value()) {
    throw data_error("edge_weights and sums are given together, or neither");
  }
  const auto factors = optional_input(factors_source, "factors", dtype::float32, {num_items});
  check_range("scratch's rows", scratch.size(0), 1, INT32_MAX);
  check_range("k", k, 1, INT32_MAX);
  check_range("first", first, 0, num_items);
  check_range("first + count", first + count, 0, num_items);
  if (!(std::isfinite(shrinkage) && shrinkage >= 0)) {
    throw config_error("shrinkage = " + std::to_string(shrinkage) + " must be a finite number, at least 0");
  }
  const nearest_items_args args{.interactions = interactions,
                                .edge_weights = pointer<float>(edge_weights),
                                .first = first,
                                .count = count,
                                .k = k,
                                .shrinkage = static_cast<float>(shrinkage),
                                .roots = roots.data<const float>(),
                                .factors = pointer<float>(factors),
                                .scratch = scratch.data<int32_t>(),
                                .sums = mutable_pointer<float>(sums),
                                .num_workers = scratch.size(0),
                                .ids = ids.data<int32_t>(),
                                .weights = weights.data<float>()};
  const py::gil_scoped_release unlocked;
  nearest_items(args);
}

}  // namespace

void bind_neighbors(py::module_& m) {
  m.def("nearest_items", &nearest, py::arg("graph"), py::arg("first"), py::arg("shrinkage"), py::arg("roots"),
        py::arg("scratch"), py::arg("ids"), py::arg("weights"), py::arg("edge_weights") = py::none(),
        py::arg("sums") = py::none(), py::arg("factors") = py::none());
}

}  // namespace pyrec
