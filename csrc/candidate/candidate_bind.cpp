#include "candidate/candidate.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

candidate_activation activation_of(const std::string& name) {
  if (name == "relu") return candidate_activation::relu;
  if (name == "tanh") return candidate_activation::tanh;
  throw config_error("activation = '" + name + "' is neither 'relu' nor 'tanh'");
}

// What both passes read.
struct candidate_arrays {
  tensor clicks;
  place at;
  tensor candidates;
  tensor vector;
  tensor values;
  tensor indptr;
  tensor readers;
  std::optional<tensor> index;

  candidate_arrays(const py::object& clicks_source, const py::object& candidates_source,
                   const py::object& vector_source, const py::object& values_source,
                   const py::object& indptr_source, const py::object& readers_source,
                   const py::object& index_source)
      : clicks(clicks_source, "clicks"),
        at(place_of(clicks)),
        candidates(candidates_source, "candidates"),
        vector(vector_source, "vector"),
        values(values_source, "values"),
        indptr(input(indptr_source, "indptr", dtype::int64, {any_size}, at)),
        readers(input(readers_source, "readers", dtype::int64, {any_size}, at)),
        index(optional_input(index_source, "index", dtype::int64, {any_size}, at)) {
    if (indptr.size(0) == 0) throw data_error("indptr is empty, but row pointers start with 0");
  }

  // Checked, but for what a device checks itself.
  template <class T>
  candidate_input<T> checked(const std::string& activation, const candidate_kernels& kernels) const {
    constexpr dtype real = dtype_of<T>::value;
    require(clicks, real, {any_size, any_size}, at);
    candidate_input<T> in{};
    in.num_rows = clicks.size(0);
    in.hidden = clicks.size(1);
    in.num_candidates = readers.size(0);
    require(candidates, real, {in.num_candidates, in.hidden}, at);
    require(vector, real, {in.hidden}, at);
    require(values, real, {in.num_rows, any_size}, at);
    in.dim = values.size(1);
    in.num_segments = indptr.size(0) - 1;
    in.num_slots = index ? index->size(0) : in.num_rows;
    check_range("clicks.shape[0]", in.num_rows, 0, INT32_MAX);
    check_range("index.shape[0]", in.num_slots, 0, INT32_MAX);
    check_range("readers.shape[0]", in.num_candidates, 0, INT32_MAX);
    check_range("segments of indptr", in.num_segments, 0, INT32_MAX);
    in.clicks = clicks.data<const T>();
    in.candidates = candidates.data<const T>();
    in.vector = vector.data<const T>();
    in.values = values.data<const T>();
    in.indptr = indptr.data<const int64_t>();
    in.readers = readers.data<const int64_t>();
    in.index = pointer<int64_t>(index);
    in.activation = activation_of(activation);
    if (kernels.checks_input) return in;
    check_indptr("indptr", in.indptr, in.num_segments, in.num_slots);
    check_bounds(readers, "segments", in.num_segments);
    if (index) check_bounds(*index, "rows of clicks", in.num_rows);
    return in;
  }
};

void candidate(const py::object& clicks, const py::object& candidates, const py::object& vector,
               const py::object& values, const py::object& indptr, const py::object& readers,
               const py::object& index, const std::string& activation, const py::object& out_source,
               const py::object& norms_source, int64_t stream) {
  const candidate_arrays arrays(clicks, candidates, vector, values, indptr, readers, index);
  dispatch_real(arrays.clicks, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    const kernels_on kernels(arrays.at.where);
    const candidate_input<T> in = arrays.template checked<T>(activation, kernels->candidate);
    const tensor out = output(out_source, "out", real, {in.num_candidates, in.dim}, arrays.at);
    const tensor norms = output(norms_source, "norms", real, {in.num_candidates, 2}, arrays.at);
    const candidate_args<T> args{
        .input = in, .out = out.data<T>(), .norms = norms.data<T>(), .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    kernels->candidate.candidate(args);
  });
}

void candidate_grad(const py::object& clicks, const py::object& candidates, const py::object& vector,
                    const py::object& values, const py::object& indptr, const py::object& readers,
                    const py::object& index, const std::string& activation, const py::object& out_source,
                    const py::object& norms_source, const py::object& grad_source,
                    const py::object& grad_clicks_source, const py::object& grad_candidates_source,
                    const py::object& grad_vector_source, const py::object& grad_values_source,
                    const py::object& scratch_source, int64_t stream) {
  const candidate_arrays arrays(clicks, candidates, vector, values, indptr, readers, index);
  const place& at = arrays.at;
  dispatch_real(arrays.clicks, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    const kernels_on kernels(at.where);
    const candidate_input<T> in = arrays.template checked<T>(activation, kernels->candidate);
    const tensor out = input(out_source, "out", real, {in.num_candidates, in.dim}, at);
    const tensor norms = input(norms_source, "norms", real, {in.num_candidates, 2}, at);
    const tensor grad = input(grad_source, "grad", real, {in.num_candidates, in.dim}, at);
    const tensor grad_clicks = output(grad_clicks_source, "grad_clicks", real, {in.num_slots, in.hidden}, at);
    const tensor grad_candidates =
        output(grad_candidates_source, "grad_candidates", real, {in.num_candidates, in.hidden}, at);
    const tensor grad_vector = output(grad_vector_source, "grad_vector", real, {in.hidden}, at);
    const tensor grad_values = output(grad_values_source, "grad_values", real, {in.num_slots, in.dim}, at);
    const tensor scratch =
        output(scratch_source, "scratch", dtype::uint8, {kernels->candidate.scratch(in)}, at);
    const candidate_grad_args<T> args{.input = in,
                                      .out = out.data<const T>(),
                                      .norms = norms.data<const T>(),
                                      .grad = grad.data<const T>(),
                                      .grad_clicks = grad_clicks.data<T>(),
                                      .grad_candidates = grad_candidates.data<T>(),
                                      .grad_vector = grad_vector.data<T>(),
                                      .grad_values = grad_values.data<T>(),
                                      .scratch = scratch.data<void>(),
                                      .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    kernels->candidate.candidate_grad(args);
  });
}

// Bytes of scratch for the gradients of so many candidates of so many segments.
int64_t candidate_scratch(const py::object& clicks_source, int64_t num_candidates, int64_t num_segments) {
  const tensor clicks(clicks_source, "clicks");
  const kernels_on kernels(clicks.where());
  check_range("num_candidates", num_candidates, 0, INT32_MAX);
  check_range("num_segments", num_segments, 0, INT32_MAX);
  int64_t bytes = 0;
  dispatch_real(clicks, [&]<class T>() {
    require(clicks, dtype_of<T>::value, {any_size, any_size}, place_of(clicks));
    candidate_input<T> in{};
    in.num_candidates = num_candidates;
    in.num_segments = num_segments;
    in.hidden = clicks.size(1);
    bytes = kernels->candidate.scratch(in);
  });
  return bytes;
}

}  // namespace

void bind_candidate(py::module_& m) {
  using py::arg;
  const auto stream = arg("stream") = 0;
  m.def("candidate_scratch", &candidate_scratch, arg("clicks"), arg("num_candidates"), arg("num_segments"));
  m.def("candidate", &candidate, arg("clicks"), arg("candidates"), arg("vector"), arg("values"),
        arg("indptr"), arg("readers"), arg("index"), arg("activation"), arg("out"), arg("norms"), stream);
  m.def("candidate_grad", &candidate_grad, arg("clicks"), arg("candidates"), arg("vector"), arg("values"),
        arg("indptr"), arg("readers"), arg("index"), arg("activation"), arg("out"), arg("norms"), arg("grad"),
        arg("grad_clicks"), arg("grad_candidates"), arg("grad_vector"), arg("grad_values"), arg("scratch"),
        stream);
}

}  // namespace pyrec
