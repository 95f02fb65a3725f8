#include <algorithm>

#include "common/check.hpp"
#include "common/philox.hpp"
#include "graph/graph.hpp"
#include "isa/kernels.hpp"

namespace pyrec {

namespace {

void sample_triples(const graph& g, const py::object& users_source, const py::object& eligible_source,
                    uint64_t seed, uint64_t epoch, int64_t first, const py::object& out_users_source,
                    const py::object& out_positives_source, const py::object& out_negatives_source) {
  require(g.indptr, dtype::int64, {any_size});
  const int64_t interactions = g.num_edges() / 2;
  const tensor users = input(users_source, "users", dtype::int32, {interactions});
  const auto eligible = optional_input(eligible_source, "eligible", dtype::int64, {any_size});
  if (eligible) check_bounds(*eligible, "interactions", interactions);
  const int64_t total = eligible ? eligible->size(0) : interactions;
  const tensor out_users = output(out_users_source, "out_users", dtype::int32, {any_size});
  const int64_t count = out_users.size(0);
  const tensor out_positives = output(out_positives_source, "out_positives", dtype::int32, {count});
  const tensor out_negatives = output(out_negatives_source, "out_negatives", dtype::int32, {count, any_size});
  check_range("first", first, 0, total);
  check_range("first + count", first + count, 0, total);
  check_range("epoch", static_cast<int64_t>(epoch), 0, UINT32_MAX);
  const sample_args args{.indptr = g.indptr.data<const int64_t>(),
                         .indices = g.indices.data<const int32_t>(),
                         .users = users.data<const int32_t>(),
                         .eligible = pointer<int64_t>(eligible),
                         .num_users = static_cast<int32_t>(g.num_users),
                         .num_items = static_cast<int32_t>(g.num_items),
                         .seed = seed,
                         .epoch = epoch,
                         .shuffle = make_shuffle(static_cast<uint64_t>(total), seed, epoch),
                         .first = first,
                         .count = count,
                         .num_negatives = out_negatives.size(1),
                         .out_users = out_users.data<int32_t>(),
                         .out_positives = out_positives.data<int32_t>(),
                         .out_negatives = out_negatives.data<int32_t>()};
  const py::gil_scoped_release unlocked;
  kernels().sample.triples(args);
}

// rows[position[i]] = nodes[i]: the distinct nodes in order of appearance, and where each one went.
int64_t distinct_nodes(const py::object& nodes_source, int64_t num_nodes, const py::object& slot_source,
                       const py::object& rows_source, const py::object& position_source) {
  const tensor nodes_array = input(nodes_source, "nodes", dtype::int64, {any_size});
  const int64_t count = nodes_array.size(0);
  const tensor slot_array = output(slot_source, "slot", dtype::int32, {num_nodes});
  const tensor rows_array = output(rows_source, "rows", dtype::int64, {count});
  const tensor position_array = output(position_source, "position", dtype::int64, {count});
  const auto* nodes = nodes_array.data<const int64_t>();
  auto* slot = slot_array.data<int32_t>();
  auto* rows = rows_array.data<int64_t>();
  auto* position = position_array.data<int64_t>();
  const py::gil_scoped_release unlocked;
  std::fill_n(slot, num_nodes, -1);
  int32_t distinct = 0;
  for (int64_t i = 0; i < count; ++i) {
    check_bound("nodes", "nodes", i, nodes[i], num_nodes);
    if (slot[nodes[i]] < 0) {
      rows[distinct] = nodes[i];
      slot[nodes[i]] = distinct++;
    }
    position[i] = slot[nodes[i]];
  }
  return distinct;
}

py::tuple philox_words(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t key0, uint32_t key1) {
  const philox_block block = philox({{c0, c1, c2, c3}}, key0, key1);
  return py::make_tuple(block.word[0], block.word[1], block.word[2], block.word[3]);
}

}  // namespace

void bind_sample(py::module_& m) {
  m.def("sample_triples", &sample_triples, py::arg("graph"), py::arg("users"), py::arg("eligible"),
        py::arg("seed"), py::arg("epoch"), py::arg("first"), py::arg("out_users"), py::arg("out_positives"),
        py::arg("out_negatives"));
  m.def("distinct_nodes", &distinct_nodes, py::arg("nodes"), py::arg("num_nodes"), py::arg("slot"),
        py::arg("rows"), py::arg("position"));
  m.def("philox", &philox_words, "One block of Philox4x32-10, for the published test vectors.");
}

}  // namespace pyrec
