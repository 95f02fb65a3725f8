#include <algorithm>
#include <cmath>

#include "common/check_cutoffs.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

template <class T>
void check_values(const tensor& scores, const tensor& indptr) {
  const py::gil_scoped_release unlocked;
  const int64_t count = scores.size(0);
  check_indptr("indptr", indptr.data<const int64_t>(), indptr.size(0) - 1, count);
  const T* values = scores.data<const T>();
  bool any = false;
  for (int64_t i = 0; i < count; ++i) any |= values[i] != values[i];
  if (!any) return;
  const T* bad = std::find_if(values, values + count, [](T value) { return std::isnan(value); });
  throw data_error("scores[" + std::to_string(bad - values) +
                   "] is NaN, which has no rank; did the training diverge?");
}

// indptr: (num_impressions + 1,)
tensor indptr_of(const py::object& source, const place& at) {
  tensor indptr = input(source, "indptr", dtype::int64, {any_size}, at);
  if (indptr.size(0) == 0) throw data_error("indptr is empty; pass [0] for no impressions");
  return indptr;
}

template <class T>
int64_t scratch_bytes(int64_t num_candidates) {
  buffer_parts parts(nullptr);
  take_groups<T>(parts, num_candidates);
  return parts.bytes();
}

int64_t impressions_scratch(const py::object& scores_source) {
  const tensor scores(scores_source, "scores");
  int64_t bytes = 0;
  dispatch_real(scores, [&]<class T>() {
    require(scores, dtype_of<T>::value, {any_size}, place_of(scores));
    bytes = scratch_bytes<T>(scores.size(0));
  });
  return bytes;
}

// scores, clicks: (num_candidates,); out: (num_impressions, 3 + 2 num_cutoffs). bad: as for ranking_metrics.
void impression_metrics(const py::object& scores_source, const py::object& clicks_source,
                        const py::object& indptr_source, const py::object& cutoffs_source,
                        const py::object& cutoffs_there, const py::object& discount_source,
                        const py::object& best_gains_source, const py::object& scratch_source,
                        const py::object& out_source, const py::object& bad_source, int64_t stream) {
  const tensor scores(scores_source, "scores");
  const place at = place_of(scores);
  dispatch_real(scores, [&]<class T>() {
    require(scores, dtype_of<T>::value, {any_size}, at);
    const int64_t num_candidates = scores.size(0);
    check_range("scores.shape[0]", num_candidates, 0, INT32_MAX);
    const tensor clicks = input(clicks_source, "clicks", dtype::boolean, {num_candidates}, at);
    const tensor indptr = indptr_of(indptr_source, at);
    const int64_t num_impressions = indptr.size(0) - 1;
    const cutoff_pair cutoffs(cutoffs_source, cutoffs_there, largest_cutoff, "", at);
    const int64_t num_cutoffs = cutoffs.checked.size(0);
    const int64_t last = cutoffs.checked.data<const int64_t>()[num_cutoffs - 1];
    const tensor discount = input(discount_source, "discount", dtype::float64, {last}, at);
    const tensor best_gains = input(best_gains_source, "best_gains", dtype::float64, {last}, at);
    const tensor scratch =
        output(scratch_source, "scratch", dtype::uint8, {scratch_bytes<T>(num_candidates)}, at);
    const tensor out = output(out_source, "out", dtype::float64,
                              {num_impressions, metrics_without_cutoff + 2 * num_cutoffs}, at);
    const tensor bad = output(bad_source, "bad", dtype::boolean, {1}, at);
    const kernels_on kernels(at.where);
    if (!kernels->impressions.checks_input) check_values<T>(scores, indptr);
    const impressions_args<T> args{.scores = scores.data<const T>(),
                                   .clicks = clicks.data<const uint8_t>(),
                                   .indptr = indptr.data<const int64_t>(),
                                   .num_candidates = num_candidates,
                                   .num_impressions = num_impressions,
                                   .cutoffs = cutoffs.values(),
                                   .num_cutoffs = num_cutoffs,
                                   .discount = discount.data<const double>(),
                                   .best_gains = best_gains.data<const double>(),
                                   .out = out.data<double>(),
                                   .scratch = scratch.data<void>(),
                                   .bad = bad.data<bool>(),
                                   .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    kernels->impressions.run(args);
  });
}

// Names what a kernel has found to be wrong; arrays on the CPU.
void check_impressions(const py::object& scores_source, const py::object& indptr_source) {
  const tensor scores(scores_source, "scores");
  dispatch_real(scores, [&]<class T>() {
    require(scores, dtype_of<T>::value, {any_size});
    check_values<T>(scores, indptr_of(indptr_source, {}));
  });
}

}  // namespace

void bind_impressions(py::module_& m) {
  m.def("impressions_scratch", &impressions_scratch, py::arg("scores"));
  m.def("check_impressions", &check_impressions, py::arg("scores"), py::arg("indptr"));
  m.def("impression_metrics", &impression_metrics, py::arg("scores"), py::arg("clicks"), py::arg("indptr"),
        py::arg("cutoffs"), py::kw_only(), py::arg("cutoffs_there"), py::arg("discount"),
        py::arg("best_gains"), py::arg("scratch"), py::arg("out"), py::arg("bad"), py::arg("stream") = 0);
}

}  // namespace pyrec
