#include "common/dispatch.hpp"
#include "isa/kernels.hpp"

namespace pyrec {

namespace {

void bpr(const py::object& vectors_source, const py::object& users_source, const py::object& positives_source,
         const py::object& negatives_source, const py::object& loss_source, const py::object& grad_source) {
  const tensor vectors(vectors_source, "vectors");
  const tensor users = input(users_source, "users", dtype::int64, {any_size});
  const int64_t samples = users.size(0);
  const tensor positives = input(positives_source, "positives", dtype::int64, {samples});
  const tensor negatives = input(negatives_source, "negatives", dtype::int64, {samples, any_size});
  if (negatives.numel() == 0) throw data_error("negatives is empty; a mean over no samples has no value");
  dispatch_real(vectors, [&]<class T>() {
    require(vectors, dtype_of<T>::value, {any_size, any_size});
    const int64_t num_rows = vectors.size(0);
    const int64_t dim = vectors.size(1);
    for (const tensor* rows : {&users, &positives, &negatives}) check_bounds(*rows, "vectors", num_rows);
    const tensor loss = output(loss_source, "loss", dtype_of<T>::value, {});
    const tensor grad = output(grad_source, "grad", dtype_of<T>::value, {num_rows, dim});
    const bpr_args<T> args{.vectors = vectors.data<const T>(),
                           .num_rows = num_rows,
                           .dim = dim,
                           .users = users.data<const int64_t>(),
                           .positives = positives.data<const int64_t>(),
                           .negatives = negatives.data<const int64_t>(),
                           .num_samples = samples,
                           .num_negatives = negatives.size(1),
                           .loss = loss.data<T>(),
                           .grad = grad.data<T>()};
    const py::gil_scoped_release unlocked;
    kernels().bpr.run(args);
  });
}

}  // namespace

void bind_bpr(py::module_& m) {
  m.def("bpr", &bpr, py::arg("vectors"), py::arg("users"), py::arg("positives"), py::arg("negatives"),
        py::arg("loss"), py::arg("grad"));
}

}  // namespace pyrec
