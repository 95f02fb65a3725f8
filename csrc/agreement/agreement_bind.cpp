#include "agreement/agreement.hpp"
#include "common/check_pairs.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

// Bytes of scratch for the gradients of so many pairs in so many groups.
int64_t agreement_scratch(const py::object& vectors_source, int64_t num_samples, int64_t num_groups) {
  const tensor vectors(vectors_source, "vectors");
  const kernels_on kernels(vectors.where());
  int64_t bytes = 0;
  dispatch_real(vectors, [&]<class T>() {
    agreement_args<T> args{};
    args.num_samples = num_samples;
    args.num_groups = num_groups;
    bytes = kernels->agreement.scratch(args);
  });
  return bytes;
}

template <class T>
agreement_args<T> args_of(const sample_pairs& samples, const tensor& direction,
                          const std::optional<tensor>& bias_direction) {
  const place at = place_of(samples.vectors);
  constexpr dtype real = dtype_of<T>::value;
  require(samples.vectors, real, {any_size, any_size}, at);
  agreement_args<T> args{};
  args.num_rows = samples.vectors.size(0);
  args.dim = samples.vectors.size(1);
  require(direction, real, {args.num_rows, args.dim}, at);
  if (bias_direction) require(*bias_direction, real, {args.num_rows}, at);
  args.vectors = samples.vectors.data<const T>();
  args.direction = direction.data<const T>();
  args.bias_direction = pointer<T>(bias_direction);
  args.users = samples.users.data<const int64_t>();
  args.items = samples.items.data<const int64_t>();
  args.num_samples = samples.users.size(0);
  return args;
}

// direction as vectors; bias_direction: (num_rows,); agreement: (num_samples,).
void agreement(const py::object& vectors, const py::object& direction_source, const py::object& users,
               const py::object& items, const py::object& bias_direction_source,
               const py::object& agreement_source, int64_t stream) {
  const sample_pairs samples(vectors, users, items);
  const place at = place_of(samples.vectors);
  const tensor direction(direction_source, "direction");
  const auto bias_direction = optional_tensor(bias_direction_source, "bias_direction");
  dispatch_real(samples.vectors, [&]<class T>() {
    agreement_args<T> args = args_of<T>(samples, direction, bias_direction);
    const kernels_on kernels(at.where);
    if (!kernels->agreement.checks_input) samples.check_rows();
    const tensor out = output(agreement_source, "agreement", dtype_of<T>::value, {args.num_samples}, at);
    args.agreement = out.data<T>();
    args.stream = stream_of(stream);
    const py::gil_scoped_release unlocked;
    kernels->agreement.run(args);
  });
}

// label, weight, agreement, grad_weight, grad_label: (num_samples,); groups: (num_samples,) below the length of sums.
void weight_gradient(const py::object& vectors, const py::object& direction_source, const py::object& users,
                     const py::object& items, const py::object& label_source, const std::string& kind,
                     double rate, const py::object& weight_source, const py::object& bias_source,
                     const py::object& bias_direction_source, const py::object& groups_source,
                     const py::object& agreement_source, const py::object& grad_weight_source,
                     const py::object& grad_label_source, const py::object& sums_source,
                     const py::object& scratch_source, int64_t stream) {
  const sample_pairs samples(vectors, users, items);
  const place at = place_of(samples.vectors);
  const tensor direction(direction_source, "direction");
  const auto bias_direction = optional_tensor(bias_direction_source, "bias_direction");
  dispatch_real(samples.vectors, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    agreement_args<T> args = args_of<T>(samples, direction, bias_direction);
    args.kind = pointwise_kind_of(kind);
    args.rate = rate;
    const int64_t n = args.num_samples;
    const tensor label = input(label_source, "label", real, {n}, at);
    const auto weight = optional_input(weight_source, "weight", real, {n}, at);
    const auto bias = optional_input(bias_source, "bias", real, {args.num_rows}, at);
    const auto groups = optional_input(groups_source, "groups", dtype::int64, {n}, at);
    const tensor out = output(agreement_source, "agreement", real, {n}, at);
    const tensor grad_weight = output(grad_weight_source, "grad_weight", real, {n}, at);
    const tensor grad_label = output(grad_label_source, "grad_label", real, {n}, at);
    const tensor sums = output(sums_source, "sums", real, {any_size}, at);
    args.num_groups = groups ? sums.size(0) : 0;
    const kernels_on kernels(at.where);
    if (!kernels->agreement.checks_input) {
      samples.check_rows();
      check_labels<T>(args.kind, label);
      if (groups) check_bounds(*groups, "groups", args.num_groups);
    }
    const tensor scratch =
        output(scratch_source, "scratch", dtype::uint8, {kernels->agreement.scratch(args)}, at);
    args.agreement = out.data<T>();
    args.label = label.data<const T>();
    args.weight = pointer<T>(weight);
    args.bias = pointer<T>(bias);
    args.groups = groups ? groups->data<const int64_t>() : nullptr;
    args.grad_weight = grad_weight.data<T>();
    args.grad_label = grad_label.data<T>();
    args.sums = sums.data<T>();
    args.scratch = scratch.data<void>();
    args.stream = stream_of(stream);
    const py::gil_scoped_release unlocked;
    kernels->agreement.run(args);
  });
}

}  // namespace

void bind_agreement(py::module_& m) {
  m.def("agreement_scratch", &agreement_scratch, py::arg("vectors"), py::arg("num_samples"),
        py::arg("num_groups"));
  m.def("agreement", &agreement, py::arg("vectors"), py::arg("direction"), py::arg("users"), py::arg("items"),
        py::kw_only(), py::arg("bias_direction") = py::none(), py::arg("agreement"), py::arg("stream") = 0);
  m.def("weight_gradient", &weight_gradient, py::arg("vectors"), py::arg("direction"), py::arg("users"),
        py::arg("items"), py::arg("label"), py::arg("kind"), py::arg("rate"), py::kw_only(),
        py::arg("weight") = py::none(), py::arg("bias") = py::none(), py::arg("bias_direction") = py::none(),
        py::arg("groups") = py::none(), py::arg("agreement"), py::arg("grad_weight"), py::arg("grad_label"),
        py::arg("sums"), py::arg("scratch"), py::arg("stream") = 0);
}

}  // namespace pyrec
