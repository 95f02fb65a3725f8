#include <limits>

#include "common/check_cutoffs.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

constexpr int64_t most_items = std::numeric_limits<int32_t>::max();
constexpr const char* of_lists = ", the length of the lists in ids";

// ids: (num_queries, list_size), each row ids within [0, num_items), then -1.
void check_lists(const tensor& lists, int64_t num_items) {
  const auto* ids = lists.data<const int32_t>();
  for (int64_t user = 0; user < lists.size(0); ++user) {
    bool ended = false;
    for (int64_t rank = 0; rank < lists.size(1); ++rank) {
      const int32_t id = ids[user * lists.size(1) + rank];
      if (id >= 0 && id < num_items && !ended) continue;
      const std::string at =
          "ids[" + std::to_string(user) + ", " + std::to_string(rank) + "] = " + std::to_string(id);
      if (id < -1) throw data_error(at + ", but ids are items from 0 up, or -1 behind the end of a list");
      if (id >= num_items) {
        throw data_error(at + ", but items are 0 to " + std::to_string(num_items - 1));
      }
      if (id >= 0) throw data_error(at + ", behind the -1 that ends the list; move the -1 to its end");
      ended = true;
    }
  }
}

void check_test_items(const tensor& indptr, const tensor& indices) {
  const auto* rows = indptr.data<const int64_t>();
  const int64_t num_queries = indptr.size(0) - 1;
  check_indptr("test_indptr", rows, num_queries, indices.size(0));
  check_indices("test_indices", rows, indices.data<const int32_t>(), num_queries, 0, most_items, "items");
}

void check_values(const tensor& ids, const tensor& test_indptr, const tensor& test_indices) {
  const py::gil_scoped_release unlocked;
  check_lists(ids, most_items);
  check_test_items(test_indptr, test_indices);
}

// bad: (1,) becomes true where kernels that look into the arrays themselves find what is wrong; else it is an
// error now.
void ranking_metrics(const py::object& ids_source, const py::object& test_indptr_source,
                     const py::object& test_indices_source, const py::object& cutoffs_source,
                     const py::object& cutoffs_there, const py::object& discount_source,
                     const py::object& best_gains_source, const py::object& out_source,
                     const py::object& bad_source, int64_t stream) {
  const tensor ids(ids_source, "ids");
  const place at = place_of(ids);
  require(ids, dtype::int32, {any_size, any_size}, at);
  const int64_t num_queries = ids.size(0);
  const int64_t list_size = ids.size(1);
  const cutoff_pair cutoffs(cutoffs_source, cutoffs_there, list_size, of_lists, at);
  const int64_t num_cutoffs = cutoffs.checked.size(0);
  const tensor test_indptr = input(test_indptr_source, "test_indptr", dtype::int64, {num_queries + 1}, at);
  const tensor test_indices = input(test_indices_source, "test_indices", dtype::int32, {any_size}, at);
  const kernels_on kernels(at.where);
  if (!kernels->metrics.checks_input) check_values(ids, test_indptr, test_indices);
  const tensor discount = input(discount_source, "discount", dtype::float64, {list_size}, at);
  const tensor best_gains = input(best_gains_source, "best_gains", dtype::float64, {list_size}, at);
  const tensor out = output(out_source, "out", dtype::float64, {num_queries, num_cutoffs, num_metrics}, at);
  const tensor bad = output(bad_source, "bad", dtype::boolean, {1}, at);
  const metrics_args args{.ids = ids.data<const int32_t>(),
                          .num_queries = num_queries,
                          .list_size = list_size,
                          .test_indptr = test_indptr.data<const int64_t>(),
                          .test_indices = test_indices.data<const int32_t>(),
                          .cutoffs = cutoffs.values(),
                          .num_cutoffs = num_cutoffs,
                          .discount = discount.data<const double>(),
                          .best_gains = best_gains.data<const double>(),
                          .out = out.data<double>(),
                          .num_test = test_indices.size(0),
                          .bad = bad.data<bool>(),
                          .stream = stream_of(stream)};
  const py::gil_scoped_release unlocked;
  kernels->metrics.ranking(args);
}

void item_counts(const py::object& ids_source, const py::object& cutoffs_source,
                 const py::object& cutoffs_there, const py::object& counts_source,
                 const py::object& bad_source, int64_t stream) {
  const tensor ids(ids_source, "ids");
  const place at = place_of(ids);
  require(ids, dtype::int32, {any_size, any_size}, at);
  const cutoff_pair cutoffs(cutoffs_source, cutoffs_there, ids.size(1), of_lists, at);
  const int64_t num_cutoffs = cutoffs.checked.size(0);
  const tensor counts = output(counts_source, "counts", dtype::int64, {num_cutoffs, any_size}, at);
  check_range("num_items", counts.size(1), 0, most_items);
  const tensor bad = output(bad_source, "bad", dtype::boolean, {1}, at);
  const kernels_on kernels(at.where);
  const item_counts_args args{.ids = ids.data<const int32_t>(),
                              .num_queries = ids.size(0),
                              .list_size = ids.size(1),
                              .cutoffs = cutoffs.values(),
                              .num_cutoffs = num_cutoffs,
                              .num_items = counts.size(1),
                              .counts = counts.data<int64_t>(),
                              .bad = bad.data<bool>(),
                              .stream = stream_of(stream)};
  const py::gil_scoped_release unlocked;
  if (!kernels->metrics.checks_input) check_lists(ids, counts.size(1));
  kernels->metrics.item_counts(args);
}

// Names what a kernel has found to be wrong; arrays on the CPU.
void check_ranking(const py::object& ids_source, const py::object& test_indptr_source,
                   const py::object& test_indices_source) {
  const tensor ids = input(ids_source, "ids", dtype::int32, {any_size, any_size});
  check_values(ids, input(test_indptr_source, "test_indptr", dtype::int64, {ids.size(0) + 1}),
               input(test_indices_source, "test_indices", dtype::int32, {any_size}));
}

void check_ids(const py::object& ids_source, int64_t num_items) {
  check_range("num_items", num_items, 0, most_items);
  check_lists(input(ids_source, "ids", dtype::int32, {any_size, any_size}), num_items);
}

}  // namespace

void bind_metrics(py::module_& m) {
  m.def("check_ranking", &check_ranking, py::arg("ids"), py::arg("test_indptr"), py::arg("test_indices"));
  m.def("check_ids", &check_ids, py::arg("ids"), py::arg("num_items"));
  m.def("ranking_metrics", &ranking_metrics, py::arg("ids"), py::arg("test_indptr"), py::arg("test_indices"),
        py::arg("cutoffs"), py::kw_only(), py::arg("cutoffs_there"), py::arg("discount"),
        py::arg("best_gains"), py::arg("out"), py::arg("bad"), py::arg("stream") = 0);
  m.def("item_counts", &item_counts, py::arg("ids"), py::arg("cutoffs"), py::kw_only(),
        py::arg("cutoffs_there"), py::arg("counts"), py::arg("bad"), py::arg("stream") = 0);
}

}  // namespace pyrec
