#include "common/check_pairs.hpp"
#include "common/check_weights.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"
#include "pointwise/pointwise.hpp"

namespace pyrec {

namespace {

template <class T>
pointwise_args<T> args_of(const sample_pairs& samples) {
  require(samples.vectors, dtype_of<T>::value, {any_size, any_size}, place_of(samples.vectors));
  pointwise_args<T> args{};
  args.vectors = samples.vectors.data<const T>();
  args.num_rows = samples.vectors.size(0);
  args.dim = samples.vectors.size(1);
  args.users = samples.users.data<const int64_t>();
  args.items = samples.items.data<const int64_t>();
  args.num_samples = samples.users.size(0);
  return args;
}

// Bytes of scratch that `pointwise` needs for such arrays.
int64_t pointwise_scratch(const py::object& vectors, const py::object& users, const py::object& items) {
  const sample_pairs samples(vectors, users, items);
  const kernels_on kernels(samples.vectors.where());
  int64_t bytes = 0;
  dispatch_real(samples.vectors, [&]<class T>() { bytes = kernels->pointwise.scratch(args_of<T>(samples)); });
  return bytes;
}

// label, weight, grad_label, grad_weight: (num_samples,); bias, grad_bias: (num_rows,); grad as vectors.
void pointwise(const py::object& vectors, const py::object& users, const py::object& items,
               const py::object& label_source, const std::string& kind, const py::object& weight_source,
               const py::object& bias_source, const py::object& loss_source, const py::object& grad_source,
               const py::object& grad_bias_source, const py::object& grad_label_source,
               const py::object& grad_weight_source, const py::object& scratch_source, int64_t stream) {
  const sample_pairs samples(vectors, users, items);
  const place at = place_of(samples.vectors);
  dispatch_real(samples.vectors, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    pointwise_args<T> args = args_of<T>(samples);
    args.kind = pointwise_kind_of(kind);
    const tensor label = input(label_source, "label", real, {args.num_samples}, at);
    const auto weight = optional_input(weight_source, "weight", real, {args.num_samples}, at);
    const auto bias = optional_input(bias_source, "bias", real, {args.num_rows}, at);
    const kernels_on kernels(at.where);
    if (!kernels->pointwise.checks_input) {
      samples.check_rows();
      check_labels<T>(args.kind, label);
      check_weights<T>(weight);
    }
    const tensor loss = output(loss_source, "loss", real, {}, at);
    const tensor grad = output(grad_source, "grad", real, {args.num_rows, args.dim}, at);
    const auto grad_bias = optional_output(grad_bias_source, "grad_bias", real, {args.num_rows}, at);
    const auto grad_label = optional_output(grad_label_source, "grad_label", real, {args.num_samples}, at);
    const auto grad_weight = optional_output(grad_weight_source, "grad_weight", real, {args.num_samples}, at);
    const int64_t bytes = kernels->pointwise.scratch(args);
    const tensor scratch = output(scratch_source, "scratch", dtype::uint8, {bytes}, at);
    args.label = label.data<const T>();
    args.weight = pointer<T>(weight);
    args.bias = pointer<T>(bias);
    args.loss = loss.data<T>();
    args.grad = grad.data<T>();
    args.grad_bias = mutable_pointer<T>(grad_bias);
    args.grad_label = mutable_pointer<T>(grad_label);
    args.grad_weight = mutable_pointer<T>(grad_weight);
    args.scratch = scratch.data<void>();
    args.stream = stream_of(stream);
    const py::gil_scoped_release unlocked;
    kernels->pointwise.run(args);
  });
}

}  // namespace

void bind_pointwise(py::module_& m) {
  m.def("pointwise_scratch", &pointwise_scratch, py::arg("vectors"), py::arg("users"), py::arg("items"));
  m.def("pointwise", &pointwise, py::arg("vectors"), py::arg("users"), py::arg("items"), py::arg("label"),
        py::arg("kind"), py::kw_only(), py::arg("weight") = py::none(), py::arg("bias") = py::none(),
        py::arg("loss"), py::arg("grad"), py::arg("grad_bias") = py::none(),
        py::arg("grad_label") = py::none(), py::arg("grad_weight") = py::none(), py::arg("scratch"),
        py::arg("stream") = 0);
}

}  // namespace pyrec
