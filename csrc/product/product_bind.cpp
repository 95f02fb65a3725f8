#include "common/dispatch.hpp"
#include "isa/kernels.hpp"

namespace pyrec {

namespace {

// x (rows, dim), weight (dim, width), scratch (workers, product_scratch_bytes).
template <class T>
struct product_input {
  place at;
  tensor weight;
  int64_t rows, dim, width;

  product_input(const tensor& x, const py::object& weight_source)
      : at(place_of(x)), weight(weight_source, "weight") {
    constexpr dtype real = dtype_of<T>::value;
    require(x, real, {any_size, any_size}, at);
    if (!x.where().on_cpu()) {
      throw data_error("x is on " + device_text(x.where()) + ", but this kernel is the CPU's alone");
    }
    rows = x.size(0);
    dim = x.size(1);
    require(weight, real, {dim, any_size}, at);
    width = weight.size(1);
  }
};

template <class T>
void run(product_args<T> args, const tensor& scratch) {
  args.scratch = scratch.data<void>();
  args.num_workers = static_cast<int>(scratch.size(0));
  kernels().product.multiply(args);
}

void check_scratch(const tensor& scratch, const place& at) {
  require_output(scratch, dtype::uint8, {any_size, product_scratch_bytes}, at);
  check_range("scratch.shape[0]", scratch.size(0), 1, INT32_MAX);
}

// out: (rows, width).
void product(const py::object& x_source, const py::object& weight_source, const py::object& out_source,
             const py::object& scratch_source) {
  const tensor x(x_source, "x"), scratch(scratch_source, "scratch");
  dispatch_real(x, [&]<class T>() {
    const product_input<T> in(x, weight_source);
    const tensor out = output(out_source, "out", dtype_of<T>::value, {in.rows, in.width}, in.at);
    check_scratch(scratch, in.at);
    product_args<T> args{};
    args.a = x.data<const T>();
    args.a_row = in.dim;
    args.a_step = 1;
    args.b = in.weight.template data<const T>();
    args.b_step = in.width;
    args.b_column = 1;
    args.c = out.data<T>();
    args.rows = in.rows;
    args.steps = in.dim;
    args.columns = in.width;
    const py::gil_scoped_release unlocked;
    run(args, scratch);
  });
}

// grad W^T
template <class T>
product_args<T> rows_gradient(const product_input<T>& in, const tensor& grad, T* grad_x) {
  product_args<T> args{};
  args.a = grad.data<const T>();
  args.a_row = in.width;
  args.a_step = 1;
  args.b = in.weight.template data<const T>();
  args.b_step = 1;
  args.b_column = in.width;
  args.c = grad_x;
  args.rows = in.rows;
  args.steps = in.width;
  args.columns = in.dim;
  return args;
}

// x^T grad
template <class T>
product_args<T> weight_gradient(const product_input<T>& in, const tensor& x, const tensor& grad,
                                T* grad_weight) {
  product_args<T> args{};
  args.a = x.data<const T>();
  args.a_row = 1;
  args.a_step = in.dim;
  args.b = grad.data<const T>();
  args.b_step = in.width;
  args.b_column = 1;
  args.c = grad_weight;
  args.rows = in.dim;
  args.steps = in.rows;
  args.columns = in.width;
  return args;
}

// grad: (rows, width); grad_x as x and grad_weight as weight, or None where they are not asked for.
void product_grad(const py::object& x_source, const py::object& weight_source, const py::object& grad_source,
                  const py::object& grad_x_source, const py::object& grad_weight_source,
                  const py::object& scratch_source) {
  const tensor x(x_source, "x"), scratch(scratch_source, "scratch");
  dispatch_real(x, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    const product_input<T> in(x, weight_source);
    const tensor grad = input(grad_source, "grad", real, {in.rows, in.width}, in.at);
    const auto grad_x = optional_output(grad_x_source, "grad_x", real, {in.rows, in.dim}, in.at);
    const auto grad_weight =
        optional_output(grad_weight_source, "grad_weight", real, {in.dim, in.width}, in.at);
    check_scratch(scratch, in.at);
    const py::gil_scoped_release unlocked;
    if (grad_x) run(rows_gradient(in, grad, grad_x->template data<T>()), scratch);
    if (grad_weight) run(weight_gradient(in, x, grad, grad_weight->template data<T>()), scratch);
  });
}

}  // namespace

void bind_product(py::module_& m) {
  m.attr("product_scratch_bytes") = product_scratch_bytes;
  m.def("product", &product, py::arg("x"), py::arg("weight"), py::arg("out"), py::arg("scratch"));
  m.def("product_grad", &product_grad, py::arg("x"), py::arg("weight"), py::arg("grad"), py::arg("grad_x"),
        py::arg("grad_weight"), py::arg("scratch"));
}

}  // namespace pyrec
