#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"
#include "propagate/take_rows.hpp"

namespace pyrec {

namespace {

// Calls body.operator()<T, X>() with the types of take_rows_args.
template <class Body>
void dispatch_stored(const tensor& x, const Body& body) {
  if (x.type() == dtype::bfloat16) return body.template operator()<float, bfloat16>();
  dispatch_real(x, [&]<class T>() { body.template operator()<T, T>(); });
}

// rows: (num_rows,) nodes; x: (num_nodes, dim), or (num_rows, dim) by entry; out: (num_rows, dim).
void take_rows(const py::object& rows_source, const py::object& x_source, const py::object& out_source,
               const py::object& factor_source, int64_t num_nodes, bool by_entry, int64_t stream) {
  const tensor rows(rows_source, "rows");
  require(rows, dtype::int64, {any_size}, place_of(rows));
  const place at = place_of(rows);
  const tensor x(x_source, "x");
  dispatch_stored(x, [&]<class T, class X>() {
    require(x, dtype_of<X>::value, {by_entry ? rows.size(0) : num_nodes, any_size}, at);
    check_range("x.shape[1]", x.size(1), 1, 512);
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
    kernels->take_rows(args);
  });
}

}  // namespace

void bind_take_rows(py::module_& m) {
  m.def("take_rows", &take_rows, py::arg("rows"), py::arg("x"), py::arg("out"), py::kw_only(),
        py::arg("factor") = py::none(), py::arg("num_nodes"), py::arg("by_entry") = false,
        py::arg("stream") = 0);
}

}  // namespace pyrec
