#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"
#include "rows/rows.hpp"

namespace pyrec {

namespace {

constexpr int64_t most_rows = INT32_MAX;

// Calls body.operator()<T, X>() with the types of take_rows_args.
template <class Body>
void dispatch_stored(const tensor& x, const Body& body) {
  if (x.type() == dtype::bfloat16) return body.template operator()<float, bfloat16>();
  dispatch_real(x, [&]<class T>() { body.template operator()<T, T>(); });
}

// rows: (num_rows,); x: (num_nodes, dim), or (num_rows, dim) by entry; out: (num_rows, dim).
void take_rows(const py::object& rows_source, const py::object& x_source, const py::object& out_source,
               const py::object& factor_source, int64_t num_nodes, bool by_entry, int64_t stream) {
  const tensor rows(rows_source, "rows");
  const place at = place_of(rows);
  require(rows, dtype::int64, {any_size}, at);
  check_range("num_nodes", num_nodes, 0, most_rows);
  const tensor x(x_source, "x");
  dispatch_stored(x, [&]<class T, class X>() {
    require(x, dtype_of<X>::value, {by_entry ? rows.size(0) : num_nodes, any_size}, at);
    check_range("x.shape[1]", x.size(1), 1, most_rows);
    const auto factor = optional_input(factor_source, "factor", dtype_of<T>::value, {num_nodes}, at);
    const tensor out = output(out_source, "out", dtype_of<T>::value, {rows.size(0), x.size(1)}, at);
    const take_rows_args<T, X> args{.rows = rows.data<const int64_t>(),
                                    .num_rows = rows.size(0),
                                    .num_nodes = num_nodes,
                                    .dim = x.size(1),
                                    .x = x.data<const X>(),
                                    .factor = pointer<T>(factor),
                                    .out = out.data<T>(),
                                    .by_entry = by_entry,
                                    .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    const kernels_on kernels(at.where);
    kernels->rows.take(args);
  });
}

int64_t scratch_of(const tensor& rows, int64_t num_nodes) {
  require(rows, dtype::int64, {any_size}, place_of(rows));
  check_range("rows.shape[0]", rows.size(0), 0, most_rows);
  check_range("num_nodes", num_nodes, 0, most_rows);
  const kernels_on kernels(rows.where());
  return kernels->rows.scratch != nullptr ? kernels->rows.scratch(rows.size(0), num_nodes) : 0;
}

// Bytes of scratch that an addition of these rows to a table of num_nodes needs.
int64_t add_rows_scratch(const py::object& rows_source, int64_t num_nodes) {
  return scratch_of(tensor(rows_source, "rows"), num_nodes);
}

// rows: (num_rows,); x: (num_rows, dim); out: (num_nodes, dim).
void add_rows(const py::object& rows_source, const py::object& x_source, const py::object& out_source,
              const py::object& scratch_source, int64_t stream) {
  const tensor rows(rows_source, "rows");
  const place at = place_of(rows);
  require(rows, dtype::int64, {any_size}, at);
  const tensor x(x_source, "x");
  dispatch_real(x, [&]<class T>() {
    require(x, dtype_of<T>::value, {rows.size(0), any_size}, at);
    check_range("x.shape[1]", x.size(1), 1, most_rows);
    const tensor out = output(out_source, "out", dtype_of<T>::value, {any_size, x.size(1)}, at);
    const int64_t bytes = scratch_of(rows, out.size(0));
    const tensor scratch = output(scratch_source, "scratch", dtype::uint8, {bytes}, at);
    const add_rows_args<T> args{.rows = rows.data<const int64_t>(),
                                .num_rows = rows.size(0),
                                .num_nodes = out.size(0),
                                .dim = x.size(1),
                                .x = x.data<const T>(),
                                .out = out.data<T>(),
                                .scratch = scratch.data<void>(),
                                .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    const kernels_on kernels(at.where);
    kernels->rows.add(args);
  });
}

}  // namespace

void bind_rows(py::module_& m) {
  m.def("take_rows", &take_rows, py::arg("rows"), py::arg("x"), py::arg("out"), py::kw_only(),
        py::arg("factor") = py::none(), py::arg("num_nodes"), py::arg("by_entry") = false,
        py::arg("stream") = 0);
  m.def("add_rows_scratch", &add_rows_scratch, py::arg("rows"), py::arg("num_nodes"));
  m.def("add_rows", &add_rows, py::arg("rows"), py::arg("x"), py::arg("out"), py::arg("scratch"),
        py::arg("stream") = 0);
}

}  // namespace pyrec
