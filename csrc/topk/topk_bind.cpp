#include <algorithm>
#include <bit>
#include <limits>

#include "common/caches.hpp"
#include "common/check.hpp"
#include "common/rounding.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

constexpr int64_t most_items = std::numeric_limits<int32_t>::max();
constexpr int64_t most_workers = std::numeric_limits<int32_t>::max();

void check_k(int64_t k, int64_t num_items) {
  const int64_t most = std::min(topk_max_k, num_items);
  if (k >= 1 && k <= most) return;
  throw config_error("k = " + std::to_string(k) + ", but there are " + std::to_string(num_items) +
                     " items and lists hold up to " + std::to_string(topk_max_k) + "; pass k from 1 to " +
                     std::to_string(most));
}

// Whether no score, a sum of dim products of such magnitudes at most, leaves float32; false for NaN.
bool scores_fit(int64_t dim, double query, double item) {
  return static_cast<double>(dim) * query * item <= std::numeric_limits<float>::max();
}

double check_rows_finite(const tensor& rows) {
  return check_finite(rows.name(), rows.data<const float>(), rows.numel(), rows.size(1));
}

// Finite vectors, with no score beyond float32.
void check_vectors(const tensor& queries, const tensor& items) {
  const int64_t dim = queries.size(1);
  const double query = check_rows_finite(queries);
  const double item = check_rows_finite(items);
  if (scores_fit(dim, query, item)) return;
  throw data_error("queries reach " + std::to_string(query) + " and items " + std::to_string(item) +
                   ", so that a score, a sum of " + std::to_string(dim) +
                   " products, could leave float32; scale them down");
}

void check_pair(const std::optional<tensor>& indptr, const std::optional<tensor>& indices) {
  if (indptr.has_value() != indices.has_value()) {
    throw data_error(std::string(indptr ? "seen_indices" : "seen_indptr") +
                     " is None, but the seen items are a CSR of both; pass both, or neither");
  }
}

void check_seen(const std::optional<tensor>& indptr, const std::optional<tensor>& indices,
                int64_t num_queries, int64_t num_items) {
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

void check_rows(const tensor& scratch, int64_t rows) {
  if (rows > 0 && rows % topk_panel_multiple == 0) return;
  throw data_error(std::string(scratch.name()) + " has " + std::to_string(rows) +
                   " rows, but a multiple of " + std::to_string(topk_panel_multiple) + " is needed");
}

// Scratch for codes, where the search is to go by them.
struct code_scratch {
  tensor codes, order, bounds;

  code_scratch(const py::object& codes_source, const py::object& order_source,
               const py::object& bounds_source, int64_t dim, const kernel_table& kernels)
      : codes(output(codes_source, "codes", dtype::int32, {any_size, ceil_div(dim, 4)})),
        order(output(order_source, "order", dtype::int32, {codes.size(0)})),
        bounds(output(bounds_source, "bounds", dtype::float64, {codes.size(0) / topk_panel_multiple, 3})) {
    check_range("queries.shape[1]", dim, 1, topk_longest_coded);
    check_rows(codes, codes.size(0));
    if (!kernels.topk.codes) {
      throw config_error(std::string("codes are given, but ") + kernels.isa +
                         " cannot search by them; pass panels");
    }
  }
};

// (num_queries, any) at the place that they settle.
tensor import_rows(const py::object& source, const char* name) {
  tensor rows(source, name);
  require(rows, dtype::float32, {any_size, any_size}, place_of(rows));
  return rows;
}

// (num_queries, dim)
tensor import_queries(const py::object& source) {
  tensor queries = import_rows(source, "queries");
  check_range("queries.shape[1]", queries.size(1), 1, most_items);
  return queries;
}

// The arrays of a search, all at one place.
struct topk_input {
  tensor queries;
  place at;
  tensor items;  // (num_items, dim)
  std::optional<tensor> seen_indptr, seen_indices, allowed;

  topk_input(const py::object& queries_source, const py::object& items_source,
             const py::object& seen_indptr_source, const py::object& seen_indices_source,
             const py::object& allowed_source)
      : queries(import_queries(queries_source)),
        at(place_of(queries)),
        items(input(items_source, "items", dtype::float32, {any_size, queries.size(1)}, at)),
        seen_indptr(
            optional_input(seen_indptr_source, "seen_indptr", dtype::int64, {queries.size(0) + 1}, at)),
        seen_indices(optional_input(seen_indices_source, "seen_indices", dtype::int32, {any_size}, at)),
        allowed(optional_input(allowed_source, "allowed", dtype::int32, {any_size}, at)) {
    check_range("items.shape[0]", items.size(0), 0, most_items);
    check_pair(seen_indptr, seen_indices);
  }

  void check_values() const {
    check_vectors(queries, items);
    check_ids();
  }

  void check_ids() const {
    check_seen(seen_indptr, seen_indices, queries.size(0), items.size(0));
    check_allowed(allowed, items.size(0));
  }
};

// A search that packs all items looks at each while it does: one pass over them less. What it looks at may be
// anything until then, but ids are used and so are checked before.
void search_and_check(const topk_input& in, const topk_kernels& kernels, topk_args args) {
  uint32_t largest[topk_max_splits] = {};
  args.largest = largest;
  const double query = check_rows_finite(in.queries);
  in.check_ids();
  kernels.search(args);
  const uint32_t bits = *std::max_element(largest, largest + args.num_splits);
  if (scores_fit(args.dim, query, std::bit_cast<float>(bits))) return;
  in.check_values();
  throw data_error("items changed while topk read them");
}

// Whether the kernel for these queries checks its input itself, into `faults`.
bool topk_checks(const py::object& queries_source) {
  return kernels_on(tensor(queries_source, "queries").where())->topk.checks;
}

// Names what is wrong with arrays on the CPU.
void check_topk_values(const py::object& queries, const py::object& items, const py::object& seen_indptr,
                       const py::object& seen_indices, const py::object& allowed) {
  const topk_input in(queries, items, seen_indptr, seen_indices, allowed);
  const py::gil_scoped_release unlocked;
  in.check_values();
}

// Lengths of the candidates of a search on a device, to sort them by.
void topk_lengths(const py::object& items_source, const py::object& allowed_source,
                  const py::object& lengths_source, int64_t stream) {
  const tensor items(items_source, "items");
  const place at = place_of(items);
  require(items, dtype::float32, {any_size, any_size}, at);
  const auto allowed = optional_input(allowed_source, "allowed", dtype::int32, {any_size}, at);
  const int64_t num_candidates = allowed ? allowed->size(0) : items.size(0);
  const tensor lengths = output(lengths_source, "lengths", dtype::float64, {num_candidates}, at);
  const kernels_on kernels(at.where);
  if (kernels->topk.lengths == nullptr) {
    throw config_error(std::string(kernels->isa) + " does not sort candidates by their lengths");
  }
  const topk_lengths_args args{.items = items.data<const float>(),
                               .num_items = items.size(0),
                               .dim = items.size(1),
                               .allowed = pointer<int32_t>(allowed),
                               .num_candidates = num_candidates,
                               .lengths = lengths.data<double>(),
                               .stream = stream_of(stream)};
  const py::gil_scoped_release unlocked;
  kernels->topk.lengths(args);
}

// Bytes of scratch that a search on a device needs.
int64_t topk_scratch(const py::object& queries_source, int64_t num_candidates) {
  const tensor queries = import_queries(queries_source);
  const kernels_on kernels(queries.where());
  if (kernels->topk.scratch == nullptr) return 0;
  check_range("num_candidates", num_candidates, 0, most_items);
  topk_args args{};
  args.num_queries = queries.size(0);
  args.dim = queries.size(1);
  args.num_candidates = num_candidates;
  return kernels->topk.scratch(args);
}

void topk(const py::object& queries_source, const py::object& items_source, int64_t k,
          const py::object& seen_indptr_source, const py::object& seen_indices_source,
          const py::object& allowed_source, const py::object& panels_source, const py::object& codes_source,
          const py::object& order_source, const py::object& bounds_source, const py::object& keys_source,
          const py::object& ids_source, const py::object& scores_source, const py::object& faults_source,
          const py::object& by_length_source, const py::object& scratch_source, int64_t stream) {
  const topk_input in(queries_source, items_source, seen_indptr_source, seen_indices_source, allowed_source);
  const int64_t num_queries = in.queries.size(0);
  const int64_t dim = in.queries.size(1);
  const int64_t num_items = in.items.size(0);
  check_k(k, num_items);
  const kernels_on kernels(in.at.where);
  const auto faults = optional_output(faults_source, "faults", dtype::int32, {topk_fault_words}, in.at);
  if (kernels->topk.checks != faults.has_value()) {
    throw data_error("faults goes with kernels that check their input, and with no others");
  }
  std::optional<tensor> panels;
  std::optional<code_scratch> scratch;
  if (!codes_source.is_none()) {
    scratch.emplace(codes_source, order_source, bounds_source, dim, *kernels.operator->());
  } else if (!kernels->topk.checks) {
    panels.emplace(output(panels_source, "panels", dtype::float32, {any_size, any_size, dim}));
    check_range("panels.shape[0]", panels->size(0), 1, most_workers);
    check_rows(*panels, panels->size(1));
  }
  const tensor ids = output(ids_source, "ids", dtype::int32, {num_queries, k}, in.at);
  const tensor scores = output(scores_source, "scores", dtype::float32, {num_queries, k}, in.at);
  const tensor keys = output(keys_source, "keys", dtype::int64, {any_size, num_queries, k}, in.at);
  check_range("keys.shape[0]", keys.size(0), 1, scratch ? 1 : topk_max_splits);
  topk_args args{
      .queries = in.queries.data<const float>(),
      .items = in.items.data<const float>(),
      .num_queries = num_queries,
      .dim = dim,
      .k = k,
      .allowed = pointer<int32_t>(in.allowed),
      .num_candidates = in.allowed ? in.allowed->size(0) : num_items,
      .seen_indptr = pointer<int64_t>(in.seen_indptr),
      .seen_indices = pointer<int32_t>(in.seen_indices),
      .block_bytes = kept_near_bytes(),
      .panel_rows = panels    ? panels->size(1)
                    : scratch ? scratch->codes.size(0)
                              : 0,
      .num_workers = panels ? panels->size(0) : 1,
      .panels = mutable_pointer<float>(panels),
      .largest = nullptr,
      .codes = scratch ? reinterpret_cast<uint32_t*>(scratch->codes.data<int32_t>()) : nullptr,
      .order = scratch ? scratch->order.data<int32_t>() : nullptr,
      .bounds = scratch ? reinterpret_cast<topk_panel_bounds*>(scratch->bounds.data<double>()) : nullptr,
      .num_splits = keys.size(0),
      .keys = reinterpret_cast<uint64_t*>(keys.data<int64_t>()),
      .ids = ids.data<int32_t>(),
      .scores = scores.data<float>(),
      .num_items = num_items,
      .num_seen = in.seen_indices ? in.seen_indices->size(0) : 0,
      .faults = reinterpret_cast<uint32_t*>(mutable_pointer<int32_t>(faults)),
      .by_length = nullptr,
      .finished = nullptr,
      .scratch = nullptr,
      .stream = stream_of(stream)};
  const auto by_length =
      optional_input(by_length_source, "by_length", dtype::int64, {args.num_candidates}, in.at);
  const int64_t bytes = kernels->topk.scratch != nullptr ? kernels->topk.scratch(args) : 0;
  const auto scratch_there = optional_output(scratch_source, "scratch", dtype::uint8, {bytes}, in.at);
  if (bytes > 0 && !scratch_there) throw data_error("scratch is needed on a device; see topk_scratch");
  args.by_length = pointer<int64_t>(by_length);
  args.scratch = scratch_there ? scratch_there->data<void>() : nullptr;
  const py::gil_scoped_release unlocked;
  if (panels && !in.allowed && num_queries > 0) return search_and_check(in, kernels->topk, args);
  if (!faults) in.check_values();
  kernels->topk.search(args);
}

// Finished scores, and what may not be in a list.
struct scores_input {
  tensor scores;  // (num_queries, num_items)
  place at;
  std::optional<tensor> seen_indptr, seen_indices, allowed;

  scores_input(const py::object& scores_source, const py::object& seen_indptr_source,
               const py::object& seen_indices_source, const py::object& allowed_source)
      : scores(import_rows(scores_source, "scores")),
        at(place_of(scores)),
        seen_indptr(
            optional_input(seen_indptr_source, "seen_indptr", dtype::int64, {scores.size(0) + 1}, at)),
        seen_indices(optional_input(seen_indices_source, "seen_indices", dtype::int32, {any_size}, at)),
        allowed(optional_input(allowed_source, "allowed", dtype::int32, {any_size}, at)) {
    check_range("scores.shape[1]", scores.size(1), 0, most_items);
    check_pair(seen_indptr, seen_indices);
  }

  void check_ids() const {
    check_seen(seen_indptr, seen_indices, scores.size(0), scores.size(1));
    check_allowed(allowed, scores.size(1));
  }
};

// Names what is wrong with arrays on the CPU.
void check_topk_scores(const py::object& scores, const py::object& seen_indptr,
                       const py::object& seen_indices, const py::object& allowed) {
  const scores_input in(scores, seen_indptr, seen_indices, allowed);
  const py::gil_scoped_release unlocked;
  check_rows_finite(in.scores);
  in.check_ids();
}

// The lists of finished scores. A pass over all of them looks at each, so that one is enough; a choice of items
// is looked at beforehand.
void topk_scores(const py::object& scores_source, int64_t k, const py::object& seen_indptr_source,
                 const py::object& seen_indices_source, const py::object& allowed_source,
                 const py::object& keys_source, const py::object& ids_source, const py::object& best_source,
                 const py::object& faults_source, int64_t stream) {
  const scores_input in(scores_source, seen_indptr_source, seen_indices_source, allowed_source);
  const int64_t num_queries = in.scores.size(0);
  const int64_t num_items = in.scores.size(1);
  check_k(k, num_items);
  const kernels_on kernels(in.at.where);
  const tensor faults = output(faults_source, "faults", dtype::int32, {topk_fault_words}, in.at);
  const tensor ids = output(ids_source, "ids", dtype::int32, {num_queries, k}, in.at);
  const tensor best = output(best_source, "best", dtype::float32, {num_queries, k}, in.at);
  const tensor keys = output(keys_source, "keys", dtype::int64, {any_size, num_queries, k}, in.at);
  check_range("keys.shape[0]", keys.size(0), 1, topk_max_splits);
  topk_args args{};
  args.finished = in.scores.data<const float>();
  args.num_queries = num_queries;
  args.num_items = num_items;
  args.k = k;
  args.allowed = pointer<int32_t>(in.allowed);
  args.num_candidates = in.allowed ? in.allowed->size(0) : num_items;
  args.seen_indptr = pointer<int64_t>(in.seen_indptr);
  args.seen_indices = pointer<int32_t>(in.seen_indices);
  args.num_seen = in.seen_indices ? in.seen_indices->size(0) : 0;
  args.num_splits = keys.size(0);
  args.keys = reinterpret_cast<uint64_t*>(keys.data<int64_t>());
  args.ids = ids.data<int32_t>();
  args.scores = best.data<float>();
  args.faults = reinterpret_cast<uint32_t*>(faults.data<int32_t>());
  args.stream = stream_of(stream);
  const py::gil_scoped_release unlocked;
  if (kernels->topk.checks) return kernels->topk.select(args);
  in.check_ids();
  if (in.allowed) check_rows_finite(in.scores);
  args.faults[topk_unsound] = 0;
  kernels->topk.select(args);
  if (args.faults[topk_unsound] == 0) return;
  check_rows_finite(in.scores);
  throw data_error("scores changed while topk_scores read them");
}

}  // namespace

void bind_topk(py::module_& m) {
  m.attr("topk_max_k") = topk_max_k;
  m.attr("topk_max_splits") = topk_max_splits;
  m.attr("topk_panel_multiple") = topk_panel_multiple;
  m.attr("topk_longest_coded") = topk_longest_coded;
  m.attr("topk_block_users") = topk_block_users;
  m.attr("topk_sliced_rows") = topk_sliced_rows;
  m.def("topk_block_bytes", &kept_near_bytes);
  m.def("topk_has_codes", [] { return kernels().topk.codes; });
  m.attr("topk_device_tile_users") = topk_device_tile_users;
  m.attr("topk_device_blocks") = topk_device_blocks;
  m.attr("topk_fault_words") = topk_fault_words;
  m.def("topk_checks", &topk_checks, py::arg("queries"));
  m.def("check_topk_values", &check_topk_values, py::arg("queries"), py::arg("items"), py::arg("seen_indptr"),
        py::arg("seen_indices"), py::arg("allowed"));
  m.def("topk", &topk, py::arg("queries"), py::arg("items"), py::arg("k"), py::kw_only(),
        py::arg("seen_indptr"), py::arg("seen_indices"), py::arg("allowed"), py::arg("panels"),
        py::arg("codes") = py::none(), py::arg("order") = py::none(), py::arg("bounds") = py::none(),
        py::arg("keys"), py::arg("ids"), py::arg("scores"), py::arg("faults") = py::none(),
        py::arg("by_length") = py::none(), py::arg("scratch") = py::none(), py::arg("stream") = 0);
  m.def("topk_scores", &topk_scores, py::arg("scores"), py::arg("k"), py::kw_only(), py::arg("seen_indptr"),
        py::arg("seen_indices"), py::arg("allowed"), py::arg("keys"), py::arg("ids"), py::arg("best"),
        py::arg("faults"), py::arg("stream") = 0);
  m.def("check_topk_scores", &check_topk_scores, py::arg("scores"), py::arg("seen_indptr"),
        py::arg("seen_indices"), py::arg("allowed"));
  m.def("topk_scratch", &topk_scratch, py::arg("queries"), py::arg("num_candidates"));
  m.def("topk_lengths", &topk_lengths, py::arg("items"), py::arg("allowed"), py::arg("lengths"),
        py::arg("stream") = 0);
}

}  // namespace pyrec
