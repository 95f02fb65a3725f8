#include "combine/combine_parameters.hpp"
#include "combine/scratch_cpu.hpp"
#include "combine/scratch_cuda.hpp"
#include "common/parallel.hpp"

namespace pyrec {

namespace {

// Sizes of scratch, for the kernels that a call would run.
int64_t weighted_stripes(const combine_kernels& kernels, int64_t num_rows, int64_t num_layers) {
  return kernels.in_stripes ? cuda::weighted_stripes(num_rows) : combine_stripes(num_rows, num_layers);
}

template <class T>
int64_t attention_size(const combine_kernels& kernels, int64_t num_rows, int64_t num_layers, int64_t dim,
                       int64_t hidden, bool backward) {
  if (kernels.in_stripes) {
    return cuda::make_attention_stripes<T>(num_rows, num_layers, dim, hidden, backward).tiles.size();
  }
  return attention_scratch<T>(num_rows, num_layers, dim, hidden, backward).regions.size(num_threads());
}

template <class T>
int64_t self_attention_size(const combine_kernels& kernels, int64_t num_rows, int64_t num_layers, int64_t dim,
                            bool backward) {
  if (kernels.in_stripes) {
    return cuda::make_self_attention_stripes<T>(num_rows, num_layers, dim, backward).tiles.size();
  }
  return self_attention_scratch<T>(num_rows, num_layers, dim, backward).regions.size(num_threads());
}

template <class T>
tensor scratch_of(const pooled_rows<T>& rows, const py::handle& source, int64_t size) {
  tensor scratch = rows.out(source, "scratch", {any_size});
  check_range("scratch.shape[0]", scratch.size(0), size, INT64_MAX);
  return scratch;
}

void weighted(const py::sequence& layers, const py::object& alpha_source, const py::object& out_source,
              int64_t stream) {
  with_rows(layers, py::none(), [&]<class T>(const pooled_rows<T>& rows) {
    const combine_input<T>& in = rows.input();
    const tensor alpha = rows.in(alpha_source, "alpha", {in.num_layers});
    const tensor out = rows.out(out_source, "out", {in.num_rows, in.dim});
    const combine_weighted_args<T> args{in, alpha.template data<const T>(), out.template data<T>(),
                                        stream_of(stream)};
    const py::gil_scoped_release unlocked;
    rows.kernels().weighted(args);
  });
}

void weighted_grad(const py::sequence& layers, const py::object& alpha_source, const py::object& grad_source,
                   const py::object& grad_layers_source, const py::object& grad_alpha_source,
                   const py::object& partial_source, int64_t stream) {
  with_rows(layers, py::none(), [&]<class T>(const pooled_rows<T>& rows) {
    const combine_input<T>& in = rows.input();
    const tensor alpha = rows.in(alpha_source, "alpha", {in.num_layers});
    const layer_grads<T> grads(rows, grad_source, grad_layers_source);
    const auto grad_alpha = rows.optional_out(grad_alpha_source, "grad_alpha", {in.num_layers});
    const int64_t stripes = weighted_stripes(rows.kernels(), in.num_rows, in.num_layers);
    const tensor partial =
        output(partial_source, "partial", dtype::float64, {stripes, in.num_layers}, rows.at());
    const combine_weighted_grad_args<T> args{.input = in,
                                             .alpha = alpha.template data<const T>(),
                                             .grad = grads.grad(),
                                             .grad_layers = grads.pointers(),
                                             .grad_alpha = mutable_pointer<T>(grad_alpha),
                                             .partial = partial.template data<double>(),
                                             .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    rows.kernels().weighted_grad(args);
  });
}

void attention(const py::sequence& layers, const py::object& weight, const py::object& bias,
               const py::object& vector, const py::object& mask, bool normalise,
               const py::object& offset_source, const py::object& out, const py::object& alpha,
               const py::object& scratch_source, int64_t stream) {
  with_rows(layers, mask, [&]<class T>(const pooled_rows<T>& rows) {
    const combine_input<T>& in = rows.input();
    const attention_parameters<T> given(rows, weight, bias, vector);
    const auto offset = rows.optional_in(offset_source, "offset", {in.num_rows, in.num_layers});
    const pooled_results<T> results(rows, out, alpha);
    const tensor scratch = scratch_of(
        rows, scratch_source,
        attention_size<T>(rows.kernels(), in.num_rows, in.num_layers, in.dim, given.hidden, false));
    const combine_attention_args<T> args{.input = in,
                                         .attention = given.weights(normalise),
                                         .offset = pointer<T>(offset),
                                         .out = results.out.template data<T>(),
                                         .alpha = results.alpha.template data<T>(),
                                         .scratch = scratch.template data<T>(),
                                         .num_workers = num_threads(),
                                         .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    rows.kernels().attention(args);
  });
}

void attention_grad(const py::sequence& layers, const py::object& weight, const py::object& bias,
                    const py::object& vector, const py::object& mask, bool normalise,
                    const py::object& alpha_source, const py::object& grad,
                    const py::object& grad_of_alpha_source, const py::object& grad_layers,
                    const py::object& grad_weight, const py::object& grad_bias, const py::object& grad_vector,
                    const py::object& grad_offset_source, const py::object& scratch_source, int64_t stream) {
  with_rows(layers, mask, [&]<class T>(const pooled_rows<T>& rows) {
    const combine_input<T>& in = rows.input();
    const attention_parameters<T> given(rows, weight, bias, vector);
    const tensor alpha = rows.in(alpha_source, "alpha", {in.num_rows, in.num_layers});
    const auto grad_of_alpha =
        rows.optional_in(grad_of_alpha_source, "grad_of_alpha", {in.num_rows, in.num_layers});
    const layer_grads<T> grads(rows, grad, grad_layers);
    const std::array three{rows.optional_out(grad_weight, "grad_weight", {given.hidden, in.dim}),
                           rows.optional_out(grad_bias, "grad_bias", {given.hidden}),
                           rows.optional_out(grad_vector, "grad_vector", {given.hidden})};
    check_three(three, "grad_weight, grad_bias and grad_vector");
    const auto grad_offset =
        rows.optional_out(grad_offset_source, "grad_offset", {in.num_rows, in.num_layers});
    const tensor scratch =
        scratch_of(rows, scratch_source,
                   attention_size<T>(rows.kernels(), in.num_rows, in.num_layers, in.dim, given.hidden, true));
    const combine_attention_grad_args<T> args{.input = in,
                                              .attention = given.weights(normalise),
                                              .alpha = alpha.template data<const T>(),
                                              .grad = grads.grad(),
                                              .grad_of_alpha = pointer<T>(grad_of_alpha),
                                              .grad_layers = grads.pointers(),
                                              .grad_weight = mutable_pointer<T>(three[0]),
                                              .grad_bias = mutable_pointer<T>(three[1]),
                                              .grad_vector = mutable_pointer<T>(three[2]),
                                              .grad_offset = mutable_pointer<T>(grad_offset),
                                              .scratch = scratch.template data<T>(),
                                              .num_workers = num_threads(),
                                              .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    rows.kernels().attention_grad(args);
  });
}

void self_attention(const py::sequence& layers, const py::object& query, const py::object& key,
                    const py::object& value, int64_t num_heads, const py::object& mask, const py::object& out,
                    const py::object& alpha, const py::object& scratch_source, int64_t stream) {
  with_rows(layers, mask, [&]<class T>(const pooled_rows<T>& rows) {
    const combine_input<T>& in = rows.input();
    const self_attention_parameters<T> given(rows, query, key, value, num_heads);
    const pooled_results<T> results(rows, out, alpha);
    const tensor scratch =
        scratch_of(rows, scratch_source,
                   self_attention_size<T>(rows.kernels(), in.num_rows, in.num_layers, in.dim, false));
    const combine_self_attention_args<T> args{.input = in,
                                              .attention = given.weights(num_heads),
                                              .out = results.out.template data<T>(),
                                              .alpha = results.alpha.template data<T>(),
                                              .scratch = scratch.template data<T>(),
                                              .num_workers = num_threads(),
                                              .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    rows.kernels().self_attention(args);
  });
}

void self_attention_grad(const py::sequence& layers, const py::object& query, const py::object& key,
                         const py::object& value, int64_t num_heads, const py::object& mask,
                         const py::object& grad, const py::object& grad_of_alpha_source,
                         const py::object& grad_layers, const py::object& grad_query,
                         const py::object& grad_key, const py::object& grad_value,
                         const py::object& scratch_source, int64_t stream) {
  with_rows(layers, mask, [&]<class T>(const pooled_rows<T>& rows) {
    const combine_input<T>& in = rows.input();
    const self_attention_parameters<T> given(rows, query, key, value, num_heads);
    const auto grad_of_alpha =
        rows.optional_in(grad_of_alpha_source, "grad_of_alpha", {in.num_rows, in.num_layers});
    const layer_grads<T> grads(rows, grad, grad_layers);
    const std::array three{rows.optional_out(grad_query, "grad_query", {in.dim, in.dim}),
                           rows.optional_out(grad_key, "grad_key", {in.dim, in.dim}),
                           rows.optional_out(grad_value, "grad_value", {in.dim, in.dim})};
    check_three(three, "grad_query, grad_key and grad_value");
    const tensor scratch =
        scratch_of(rows, scratch_source,
                   self_attention_size<T>(rows.kernels(), in.num_rows, in.num_layers, in.dim, true));
    const combine_self_attention_grad_args<T> args{.input = in,
                                                   .attention = given.weights(num_heads),
                                                   .grad = grads.grad(),
                                                   .grad_of_alpha = pointer<T>(grad_of_alpha),
                                                   .grad_layers = grads.pointers(),
                                                   .grad_query = mutable_pointer<T>(three[0]),
                                                   .grad_key = mutable_pointer<T>(three[1]),
                                                   .grad_value = mutable_pointer<T>(three[2]),
                                                   .scratch = scratch.template data<T>(),
                                                   .num_workers = num_threads(),
                                                   .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    rows.kernels().self_attention_grad(args);
  });
}

// Calls size.operator()<T>(kernels, num_rows, dim) for a call with num_layers layers like this one.
template <class Size>
int64_t size_for(const py::object& layer, int64_t num_layers, const Size& size) {
  const tensor first(layer, element_name(false, 0));
  check_range("num_layers", num_layers, 1, max_combine_layers);
  require_matrix(first);
  check_range("layers[0].shape[1]", first.size(1), 1, max_combine_dim);
  const kernels_on kernels(first.where());
  int64_t found = 0;
  dispatch_real(first, [&]<class T>() {
    found = size.template operator()<T>(kernels->combine, first.size(0), first.size(1));
  });
  return found;
}

// Rows of `partial`, and numbers of scratch that a call from this thread needs.
int64_t stripes(const py::object& layer, int64_t num_layers) {
  return size_for(layer, num_layers, [&]<class T>(const combine_kernels& kernels, int64_t num_rows, int64_t) {
    return weighted_stripes(kernels, num_rows, num_layers);
  });
}

int64_t attention_scratch_size(const py::object& layer, int64_t num_layers, int64_t hidden, bool backward) {
  check_range("weight.shape[0]", hidden, 0, max_combine_dim);
  return size_for(layer, num_layers,
                  [&]<class T>(const combine_kernels& kernels, int64_t num_rows, int64_t dim) {
                    return attention_size<T>(kernels, num_rows, num_layers, dim, hidden, backward);
                  });
}

int64_t self_attention_scratch_size(const py::object& layer, int64_t num_layers, bool backward) {
  return size_for(layer, num_layers,
                  [&]<class T>(const combine_kernels& kernels, int64_t num_rows, int64_t dim) {
                    return self_attention_size<T>(kernels, num_rows, num_layers, dim, backward);
                  });
}

}  // namespace

void bind_combine(py::module_& m) {
  using py::arg;
  const auto stream = arg("stream") = 0;
  m.attr("combine_max_layers") = max_combine_layers;
  m.attr("combine_max_dim") = max_combine_dim;
  m.def("combine_stripes", &stripes, arg("layer"), arg("num_layers"));
  m.def("combine_attention_scratch", &attention_scratch_size, arg("layer"), arg("num_layers"), arg("hidden"),
        arg("backward"));
  m.def("combine_self_attention_scratch", &self_attention_scratch_size, arg("layer"), arg("num_layers"),
        arg("backward"));
  m.def("combine_weighted", &weighted, arg("layers"), arg("alpha"), arg("out"), stream);
  m.def("combine_weighted_grad", &weighted_grad, arg("layers"), arg("alpha"), arg("grad"), arg("grad_layers"),
        arg("grad_alpha"), arg("partial"), stream);
  m.def("combine_attention", &attention, arg("layers"), arg("weight"), arg("bias"), arg("vector"),
        arg("mask"), arg("normalise"), arg("offset"), arg("out"), arg("alpha"), arg("scratch"), stream);
  m.def("combine_attention_grad", &attention_grad, arg("layers"), arg("weight"), arg("bias"), arg("vector"),
        arg("mask"), arg("normalise"), arg("alpha"), arg("grad"), arg("grad_of_alpha"), arg("grad_layers"),
        arg("grad_weight"), arg("grad_bias"), arg("grad_vector"), arg("grad_offset"), arg("scratch"), stream);
  m.def("combine_self_attention", &self_attention, arg("layers"), arg("w_query"), arg("w_key"),
        arg("w_value"), arg("n_heads"), arg("mask"), arg("out"), arg("alpha"), arg("scratch"), stream);
  m.def("combine_self_attention_grad", &self_attention_grad, arg("layers"), arg("w_query"), arg("w_key"),
        arg("w_value"), arg("n_heads"), arg("mask"), arg("grad"), arg("grad_of_alpha"), arg("grad_layers"),
        arg("grad_query"), arg("grad_key"), arg("grad_value"), arg("scratch"), stream);
}

}  // namespace pyrec
