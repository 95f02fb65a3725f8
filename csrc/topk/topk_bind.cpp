#include <algorithm>
#include <limits>

#include "common/check.hpp"
#include "isa/kernels.hpp"

namespace pyrec {

namespace {

constexpr int64_t most_items = std::numeric_limits<int32_t>::max();

void check_k(int64_t k, int64_t num_items) {
  const int64_t most = std::min(topk_max_k, num_items);
  if (k >= 1 && k <= most) return;
  throw config_error("k = " + std::to_string(k) + ", but there are " + std::to_string(num_items) +
                     " items and lists hold up to " + std::to_string(topk_max_k) + "; pass k from 1 to " +
                     std::to_string(most));
}

// Finite vectors, with no score beyond float32.
void check_vectors(const tensor& queries, const tensor& items) {
  const int64_t dim = queries.size(1);
  const double query = check_finite("queries", queries.data<const float>(), queries.numel(), dim);
  const double item = check_finite("items", items.data<const float>(), items.numel(), dim);
  if (static_cast<double>(dim) * query * item <= std::numeric_limits<float>::max()) return;
  throw data_error("queries reach " + std::to_string(query) + " and items " + std::to_string(item) +
                   ", so that a score, a sum of " + std::to_string(dim) +
                   " products, could leave float32; scale them down");
}

void check_seen(const std::optional<tensor>& indptr, const std::optional<tensor>& indices,
                int64_t num_queries, int64_t num_items) {
  if (indptr.has_value() != indices.has_value()) {
    throw data_error(std::string(indptr ? "seen_indices" : "seen_indptr") +
                     " is None, but the seen items are a CSR of both; pass both, or neither");
  }
  if (!indptr) return;
  const auto* rows = indptr->data<const int64_t>();
  check_indptr("seen_indptr", rows, num_queries, indices->size(0));
  check_indices("seen_indices", rows, indices->data<const int32_t>(), num_queries, 0, num_items, "items");
}

void check_allowed(const std::optional<tensor>& allowed, int64_t num_items) {
  if (!allowed) return;
  const auto* ids = allowed->data<const int32_t>();
  for (int64_t i = 0; i < allowed->size(0); ++i) {
    if (ids[i] < 0 || ids[i] >= num_items) {
      fail_index("allowed", i, ids[i], "but items are 0 to " + std::to_string(num_items - 1));
    }
    if (i > 0 && ids[i] <= ids[i - 1]) {
      fail_index("allowed", i, ids[i],
                 std::string(ids[i] == ids[i - 1] ? "a duplicate" : "out of order") +
                     "; pass ascending distinct items (torch.unique)");
    }
  }
}

void check_rows(const tensor& scratch) {
  const int64_t rows = scratch.size(0);
  if (rows > 0 && rows % topk_panel_multiple == 0) return;
  throw data_error(std::string(scratch.name()) + " has " + std::to_string(rows) +
                   " rows, but a multiple of " + std::to_string(topk_panel_multiple) + " is needed");
}

// Scratch for codes, where the search is to go by them.
struct code_scratch {
  tensor codes, order, bounds;

  code_scratch(const py::object& codes_source, const py::object& order_source,
               const py::object& bounds_source, int64_t dim)
      : codes(output(codes_source, "codes", dtype::int32, {any_size, (dim + 3) / 4})),
        order(output(order_source, "order", dtype::int32, {codes.size(0)})),
        bounds(output(bounds_source, "bounds", dtype::float64, {codes.size(0) / topk_panel_multiple, 3})) {
    check_range("queries.shape[1]", dim, 1, topk_longest_coded);
    check_rows(codes);
    if (!kernels().topk.codes) {
      throw config_error(std::string("codes are given, but ") + kernels().isa +
                         " cannot search by them; pass panels");
    }
  }
};

void topk(const py::object& queries_source, const py::object& items_source, int64_t k,
          const py::object& seen_indptr_source, const py::object& seen_indices_source,
          const py::object& allowed_source, const py::object& panels_source, const py::object& codes_source,
          const py::object& order_source, const py::object& bounds_source, const py::object& keys_source,
          const py::object& ids_source, const py::object& scores_source) {
  const tensor queries = input(queries_source, "queries", dtype::float32, {any_size, any_size});
  const int64_t num_queries = queries.size(0);
  const int64_t dim = queries.size(1);
  check_range("queries.shape[1]", dim, 1, most_items);
  const tensor items = input(items_source, "items", dtype::float32, {any_size, dim});
  const int64_t num_items = items.size(0);
  check_range("items.shape[0]", num_items, 0, most_items);
  check_k(k, num_items);
  check_vectors(queries, items);
  const auto seen_indptr = optional_input(seen_indptr_source, "seen_indptr", dtype::int64, {num_queries + 1});
  const auto seen_indices = optional_input(seen_indices_source, "seen_indices", dtype::int32, {any_size});
  check_seen(seen_indptr, seen_indices, num_queries, num_items);
  const auto allowed = optional_input(allowed_source, "allowed", dtype::int32, {any_size});
  check_allowed(allowed, num_items);

  std::optional<tensor> panels;
  std::optional<code_scratch> scratch;
  if (codes_source.is_none()) {
    panels.emplace(output(panels_source, "panels", dtype::float32, {any_size, dim}));
    check_rows(*panels);
  } else {
    scratch.emplace(codes_source, order_source, bounds_source, dim);
  }
  const tensor ids = output(ids_source, "ids", dtype::int32, {num_queries, k});
  const tensor scores = output(scores_source, "scores", dtype::float32, {num_queries, k});
  const tensor keys = output(keys_source, "keys", dtype::int64, {any_size, num_queries, k});
  check_range("keys.shape[0]", keys.size(0), 1, scratch ? 1 : topk_max_splits);
  const topk_args args{
      .queries = queries.data<const float>(),
      .items = items.data<const float>(),
      .num_queries = num_queries,
      .dim = dim,
      .k = k,
      .allowed = pointer<int32_t>(allowed),
      .num_candidates = allowed ? allowed->size(0) : num_items,
      .seen_indptr = pointer<int64_t>(seen_indptr),
      .seen_indices = pointer<int32_t>(seen_indices),
      .panel_rows = panels ? panels->size(0) : scratch->codes.size(0),
      .panels = panels ? panels->data<float>() : nullptr,
      .codes = scratch ? reinterpret_cast<uint32_t*>(scratch->codes.data<int32_t>()) : nullptr,
      .order = scratch ? scratch->order.data<int32_t>() : nullptr,
      .bounds = scratch ? reinterpret_cast<topk_panel_bounds*>(scratch->bounds.data<double>()) : nullptr,
      .num_splits = keys.size(0),
      .keys = reinterpret_cast<uint64_t*>(keys.data<int64_t>()),
      .ids = ids.data<int32_t>(),
      .scores = scores.data<float>()};
  const py::gil_scoped_release unlocked;
  kernels().topk.search(args);
}

}  // namespace

void bind_topk(py::module_& m) {
  m.attr("topk_max_k") = topk_max_k;
  m.attr("topk_max_splits") = topk_max_splits;
  m.attr("topk_panel_multiple") = topk_panel_multiple;
  m.attr("topk_longest_coded") = topk_longest_coded;
  m.def("topk_has_codes", [] { return kernels().topk.codes; });
  m.def("topk", &topk, py::arg("queries"), py::arg("items"), py::arg("k"), py::kw_only(),
        py::arg("seen_indptr"), py::arg("seen_indices"), py::arg("allowed"), py::arg("panels"),
        py::arg("codes"), py::arg("order"), py::arg("bounds"), py::arg("keys"), py::arg("ids"),
        py::arg("scores"));
}

}  // namespace pyrec
