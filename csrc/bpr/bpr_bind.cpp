#include "common/check_weights.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

// Rows of `vectors` for the samples of a batch.
struct batch {
  tensor vectors;    // (num_rows, dim)
  tensor users;      // (num_samples,)
  tensor positives;  // (num_samples,)
  tensor negatives;  // (num_samples, num_negatives)

  batch(const py::object& vectors_source, const py::object& users_source, const py::object& positives_source,
        const py::object& negatives_source)
      : vectors(vectors_source, "vectors"),
        users(users_source, "users"),
        positives(positives_source, "positives"),
        negatives(negatives_source, "negatives") {
    const place at = place_of(vectors);
    require(users, dtype::int64, {any_size}, at);
    require(positives, dtype::int64, {users.size(0)}, at);
    require(negatives, dtype::int64, {users.size(0), any_size}, at);
    if (negatives.numel() == 0) throw data_error("negatives is empty; a mean over no samples has no value");
    check_range("rows named by a batch", 2 * users.size(0) + negatives.numel(), 1, INT32_MAX);
  }

  template <class T>
  bpr_args<T> args() const {
    require(vectors, dtype_of<T>::value, {any_size, any_size}, place_of(vectors));
    return {.vectors = vectors.data<const T>(),
            .num_rows = vectors.size(0),
            .dim = vectors.size(1),
            .users = users.data<const int64_t>(),
            .positives = positives.data<const int64_t>(),
            .negatives = negatives.data<const int64_t>(),
            .num_samples = users.size(0),
            .num_negatives = negatives.size(1),
            .weight = nullptr,
            .loss = nullptr,
            .grad = nullptr,
            .grad_weight = nullptr,
            .scratch = nullptr,
            .stream = nullptr};
  }

  void check_rows() const {
    for (const tensor* rows : {&users, &positives, &negatives})
      check_bounds(*rows, "vectors", vectors.size(0));
  }
};

// Bytes of scratch that `bpr` needs for such arrays.
int64_t bpr_scratch(const py::object& vectors, const py::object& users, const py::object& positives,
                    const py::object& negatives) {
  const batch samples(vectors, users, positives, negatives);
  const kernels_on kernels(samples.vectors.where());
  int64_t bytes = 0;
  dispatch_real(samples.vectors, [&]<class T>() { bytes = kernels->bpr.scratch(samples.args<T>()); });
  return bytes;
}

void bpr(const py::object& vectors, const py::object& users, const py::object& positives,
         const py::object& negatives, const py::object& weight_source, const py::object& loss_source,
         const py::object& grad_source, const py::object& grad_weight_source,
         const py::object& scratch_source, int64_t stream) {
  const batch samples(vectors, users, positives, negatives);
  const place at = place_of(samples.vectors);
  dispatch_real(samples.vectors, [&]<class T>() {
    bpr_args<T> args = samples.args<T>();
    const auto weight = optional_input(weight_source, "weight", dtype_of<T>::value, {args.num_samples}, at);
    const kernels_on kernels(at.where);
    if (!kernels->bpr.checks_input) {
      samples.check_rows();
      check_weights<T>(weight);
    }
    const tensor loss = output(loss_source, "loss", dtype_of<T>::value, {}, at);
    const tensor grad = output(grad_source, "grad", dtype_of<T>::value, {args.num_rows, args.dim}, at);
    const auto grad_weight =
        optional_output(grad_weight_source, "grad_weight", dtype_of<T>::value, {args.num_samples}, at);
    const tensor scratch = output(scratch_source, "scratch", dtype::uint8, {kernels->bpr.scratch(args)}, at);
    args.weight = pointer<T>(weight);
    args.loss = loss.data<T>();
    args.grad = grad.data<T>();
    args.grad_weight = mutable_pointer<T>(grad_weight);
    args.scratch = scratch.data<void>();
    args.stream = stream_of(stream);
    const py::gil_scoped_release unlocked;
    kernels->bpr.run(args);
  });
}

}  // namespace

void bind_bpr(py::module_& m) {
  m.def("bpr_scratch", &bpr_scratch, py::arg("vectors"), py::arg("users"), py::arg("positives"),
        py::arg("negatives"));
  m.def("bpr", &bpr, py::arg("vectors"), py::arg("users"), py::arg("positives"), py::arg("negatives"),
        py::kw_only(), py::arg("weight") = py::none(), py::arg("loss"), py::arg("grad"),
        py::arg("grad_weight") = py::none(), py::arg("scratch"), py::arg("stream") = 0);
}

}  // namespace pyrec
