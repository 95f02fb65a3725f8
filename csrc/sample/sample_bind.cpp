#include "common/check.hpp"
#include "cuda/cuda.hpp"
#include "graph/graph.hpp"

namespace pyrec {

namespace {

// A few bytes an interaction against the kernel's random reads: the compiler makes vectors of the first loop.
void check_users(const tensor& users, int64_t num_users) {
  const auto* user = users.data<const int32_t>();
  bool outside = false;
  for (int64_t i = 0; i < users.size(0); ++i) outside |= user[i] < 0 || user[i] >= num_users;
  for (int64_t i = 0; outside && i < users.size(0); ++i) check_bound("users", "users", i, user[i], num_users);
}

// cursor: (2,) epoch and first, in place of the numbers.
void sample_triples(const graph& g, const py::object& users_source, const py::object& eligible_source,
                    uint64_t seed, uint64_t epoch, int64_t first, const py::object& out_users_source,
                    const py::object& out_positives_source, const py::object& out_negatives_source,
                    const py::object& cursor_source, int64_t stream) {
  const place at = g.at();
  const int64_t interactions = g.num_edges() / 2;
  const tensor users = input(users_source, "users", dtype::int32, {interactions}, at);
  const auto eligible = optional_input(eligible_source, "eligible", dtype::int64, {any_size}, at);
  if (eligible && at.where.on_cpu()) check_bounds(*eligible, "interactions", interactions);
  const int64_t total = eligible ? eligible->size(0) : interactions;
  const tensor out_users = output(out_users_source, "out_users", dtype::int32, {any_size}, at);
  const int64_t count = out_users.size(0);
  const tensor out_positives = output(out_positives_source, "out_positives", dtype::int32, {count}, at);
  const tensor out_negatives =
      output(out_negatives_source, "out_negatives", dtype::int32, {count, any_size}, at);
  check_range("num_negatives", out_negatives.size(1), 1, int64_t{1} << 32);
  const auto cursor = optional_input(cursor_source, "cursor", dtype::int64, {2}, at);
  const kernels_on kernels(at.where);
  if (cursor && !kernels->sample.reads_cursor) {
    epoch = static_cast<uint64_t>(cursor->data<const int64_t>()[0]);
    first = cursor->data<const int64_t>()[1];
  }
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
                         .out_negatives = out_negatives.data<int32_t>(),
                         .cursor = pointer<int64_t>(cursor),
                         .stream = stream_of(stream)};
  const py::gil_scoped_release unlocked;
  if (at.where.on_cpu() && !kernels->sample.reads_cursor) check_users(users, g.num_users);
  kernels->sample.triples(args);
}

py::tuple philox_words(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t key0, uint32_t key1) {
  const philox_block block = philox({{c0, c1, c2, c3}}, key0, key1);
  return py::make_tuple(block.word[0], block.word[1], block.word[2], block.word[3]);
}

}  // namespace

void bind_sample(py::module_& m) {
  m.def("sample_triples", &sample_triples, py::arg("graph"), py::arg("users"), py::arg("eligible"),
        py::arg("seed"), py::arg("epoch"), py::arg("first"), py::arg("out_users"), py::arg("out_positives"),
        py::arg("out_negatives"), py::arg("cursor") = py::none(), py::arg("stream") = 0);
  m.def("philox", &philox_words, "One block of Philox4x32-10, for the published test vectors.");
}

}  // namespace pyrec
