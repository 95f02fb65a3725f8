#include <array>
#include <optional>
#include <string>
#include <vector>

#include "combine/layout.hpp"
#include "common/dispatch.hpp"
#include "common/parallel.hpp"
#include "isa/kernels.hpp"

namespace pyrec {

namespace {

// "layers[0]", "grad_layers[0]" and so on: tensors keep a pointer to their name.
const char* element_name(bool grad, int64_t position) {
  using names = std::array<std::string, max_combine_layers>;
  static const std::array<names, 2> all = [] {
    std::array<names, 2> made;
    for (size_t i = 0; i < max_combine_layers; ++i) {
      made[0][i] = "layers[" + std::to_string(i) + "]";
      made[1][i] = "grad_layers[" + std::to_string(i) + "]";
    }
    return made;
  }();
  return all[grad ? 1 : 0][static_cast<size_t>(position)].c_str();
}

std::vector<tensor> import_layers(const py::sequence& sources) {
  const auto count = static_cast<int64_t>(py::len(sources));
  check_range("the number of layers", count, 1, max_combine_layers);
  std::vector<tensor> layers;
  layers.reserve(static_cast<size_t>(count));
  for (int64_t l = 0; l < count; ++l) {
    layers.emplace_back(sources[static_cast<size_t>(l)], element_name(false, l));
  }
  return layers;
}

// A row may lie anywhere, but its numbers side by side.
void require_rows(const tensor& layer, dtype type, int64_t num_rows, int64_t dim) {
  const std::string name = layer.name();
  if (!layer.where().on_cpu()) throw data_error(name + " is not on the CPU; call .cpu() first");
  if (layer.type() != type) {
    throw data_error(name + " has dtype " + dtype_name(layer.type()) + ", but layers[0] has " +
                     dtype_name(type) + "; convert them to one dtype");
  }
  if (layer.ndim() != 2 || layer.size(0) != num_rows || layer.size(1) != dim) {
    throw data_error(name + " has shape " + layer.shape_text() + ", but layers[0] has (" +
                     std::to_string(num_rows) + ", " + std::to_string(dim) + "); all layers share one shape");
  }
  if (layer.numel() > 0 && dim > 1 && layer.stride(1) != 1) {
    throw data_error(name + " has stride " + std::to_string(layer.stride(1)) +
                     " between the numbers of a row, but 1 is needed; call .contiguous() first");
  }
}

// What every combine reads, checked. Keeps the arrays alive and the pointers in place.
template <class T>
class pooled_rows {
 public:
  pooled_rows(const std::vector<tensor>& layers, const py::handle& mask) {
    const tensor& first = layers.front();
    if (first.ndim() != 2) {
      throw data_error(std::string(first.name()) + " has shape " + first.shape_text() +
                       ", but (num_rows, dim) is needed");
    }
    const int64_t num_rows = first.size(0);
    const int64_t dim = first.size(1);
    const auto num_layers = static_cast<int64_t>(layers.size());
    check_range("layers[0].shape[1]", dim, 1, max_combine_dim);
    for (const tensor& layer : layers) {
      require_rows(layer, dtype_of<T>::value, num_rows, dim);
      rows_.push_back({layer.data<const T>(), layer.stride(0)});
    }
    if (!mask.is_none()) mask_.emplace(pyrec::input(mask, "mask", dtype::boolean, {num_rows, num_layers}));
    input_ = {rows_.data(), num_layers, num_rows, dim, pointer<bool>(mask_)};
  }
  pooled_rows(const pooled_rows&) = delete;
  pooled_rows& operator=(const pooled_rows&) = delete;

  const combine_input<T>& input() const { return input_; }

 private:
  std::vector<layer_rows<T>> rows_;
  std::optional<tensor> mask_;
  combine_input<T> input_{};
};

// Outputs of the backward passes: one for each layer, or none at all.
template <class T>
class layer_grads {
 public:
  layer_grads(const py::object& sources, const combine_input<T>& input) {
    if (sources.is_none()) return;
    const auto list = py::cast<py::sequence>(sources);
    if (static_cast<int64_t>(py::len(list)) != input.num_layers) {
      throw data_error("grad_layers has " + std::to_string(py::len(list)) + " arrays, but there are " +
                       std::to_string(input.num_layers) + " layers");
    }
    for (int64_t l = 0; l < input.num_layers; ++l) {
      arrays_.push_back(output(list[static_cast<size_t>(l)], element_name(true, l), dtype_of<T>::value,
                               {input.num_rows, input.dim}));
      pointers_.push_back(arrays_.back().template data<T>());
    }
  }
  T* const* pointers() const { return pointers_.empty() ? nullptr : pointers_.data(); }

 private:
  std::vector<tensor> arrays_;
  std::vector<T*> pointers_;
};

// Scratch of the size that combine_*_scratch gave.
template <class T>
tensor scratch_for(const py::handle& source, const scratch_parts& parts) {
  tensor scratch = output(source, "scratch", dtype_of<T>::value, {any_size});
  check_range("scratch.shape[0]", scratch.size(0), parts.size(num_threads()), INT64_MAX);
  return scratch;
}

void check_heads(int64_t num_heads, int64_t dim) {
  check_range("n_heads", num_heads, 1, dim);
  if (dim % num_heads == 0) return;
  throw config_error("n_heads = " + std::to_string(num_heads) + " does not divide dim = " +
                     std::to_string(dim) + "; each head takes an equal share of the columns");
}

void weighted(const py::sequence& layer_sources, const py::object& alpha_source,
              const py::object& out_source) {
  const std::vector<tensor> layers = import_layers(layer_sources);
  dispatch_real(layers.front(), [&]<class T>() {
    constexpr dtype type = dtype_of<T>::value;
    const pooled_rows<T> rows(layers, py::none());
    const combine_input<T>& in = rows.input();
    const tensor alpha = input(alpha_source, "alpha", type, {in.num_layers});
    const tensor out = output(out_source, "out", type, {in.num_rows, in.dim});
    const combine_weighted_args<T> args{in, alpha.data<const T>(), out.data<T>()};
    const py::gil_scoped_release unlocked;
    kernels().combine.run(args);
  });
}

void weighted_grad(const py::sequence& layer_sources, const py::object& alpha_source,
                   const py::object& grad_source, const py::object& grad_layers_source,
                   const py::object& grad_alpha_source, const py::object& partial_source) {
  const std::vector<tensor> layers = import_layers(layer_sources);
  dispatch_real(layers.front(), [&]<class T>() {
    constexpr dtype type = dtype_of<T>::value;
    const pooled_rows<T> rows(layers, py::none());
    const combine_input<T>& in = rows.input();
    const tensor alpha = input(alpha_source, "alpha", type, {in.num_layers});
    const tensor grad = input(grad_source, "grad", type, {in.num_rows, in.dim});
    const layer_grads<T> grads(grad_layers_source, in);
    const auto grad_alpha = optional_output(grad_alpha_source, "grad_alpha", type, {in.num_layers});
    const tensor partial = output(partial_source, "partial", dtype::float64,
                                  {combine_slots(in.num_rows, in.num_layers), in.num_layers});
    const combine_weighted_grad_args<T> args{.input = in,
                                             .alpha = alpha.data<const T>(),
                                             .grad = grad.data<const T>(),
                                             .grad_layers = grads.pointers(),
                                             .grad_alpha = mutable_pointer<T>(grad_alpha),
                                             .partial = partial.data<double>()};
    const py::gil_scoped_release unlocked;
    kernels().combine.run(args);
  });
}

void attention(const py::sequence& layer_sources, const py::object& weight_source,
               const py::object& bias_source, const py::object& vector_source, const py::object& mask_source,
               const py::object& out_source, const py::object& alpha_source,
               const py::object& scratch_source) {
  const std::vector<tensor> layers = import_layers(layer_sources);
  dispatch_real(layers.front(), [&]<class T>() {
    constexpr dtype type = dtype_of<T>::value;
    const pooled_rows<T> rows(layers, mask_source);
    const combine_input<T>& in = rows.input();
    const tensor weight = input(weight_source, "weight", type, {any_size, in.dim});
    const int64_t hidden = weight.size(0);
    check_range("weight.shape[0]", hidden, 1, max_combine_dim);
    const tensor bias = input(bias_source, "bias", type, {hidden});
    const tensor vector = input(vector_source, "vector", type, {hidden});
    const tensor out = output(out_source, "out", type, {in.num_rows, in.dim});
    const tensor alpha = output(alpha_source, "alpha", type, {in.num_rows, in.num_layers});
    const auto layout = make_attention_layout(in.num_rows, in.num_layers, in.dim, hidden, false);
    const tensor scratch = scratch_for<T>(scratch_source, layout.parts);
    const combine_attention_args<T> args{.input = in,
                                         .hidden = hidden,
                                         .weight = weight.data<const T>(),
                                         .bias = bias.data<const T>(),
                                         .vector = vector.data<const T>(),
                                         .out = out.data<T>(),
                                         .alpha = alpha.data<T>(),
                                         .scratch = scratch.data<T>(),
                                         .num_workers = num_threads()};
    const py::gil_scoped_release unlocked;
    kernels().combine.run(args);
  });
}

void attention_grad(const py::sequence& layer_sources, const py::object& weight_source,
                    const py::object& bias_source, const py::object& vector_source,
                    const py::object& mask_source, const py::object& alpha_source,
                    const py::object& grad_source, const py::object& grad_of_alpha_source,
                    const py::object& grad_layers_source, const py::object& grad_weight_source,
                    const py::object& grad_bias_source, const py::object& grad_vector_source,
                    const py::object& scratch_source) {
  const std::vector<tensor> layers = import_layers(layer_sources);
  dispatch_real(layers.front(), [&]<class T>() {
    constexpr dtype type = dtype_of<T>::value;
    const pooled_rows<T> rows(layers, mask_source);
    const combine_input<T>& in = rows.input();
    const tensor weight = input(weight_source, "weight", type, {any_size, in.dim});
    const int64_t hidden = weight.size(0);
    check_range("weight.shape[0]", hidden, 1, max_combine_dim);
    const tensor bias = input(bias_source, "bias", type, {hidden});
    const tensor vector = input(vector_source, "vector", type, {hidden});
    const tensor alpha = input(alpha_source, "alpha", type, {in.num_rows, in.num_layers});
    const tensor grad = input(grad_source, "grad", type, {in.num_rows, in.dim});
    const auto grad_of_alpha =
        optional_input(grad_of_alpha_source, "grad_of_alpha", type, {in.num_rows, in.num_layers});
    const layer_grads<T> grads(grad_layers_source, in);
    const auto grad_weight = optional_output(grad_weight_source, "grad_weight", type, {hidden, in.dim});
    const auto grad_bias = optional_output(grad_bias_source, "grad_bias", type, {hidden});
    const auto grad_vector = optional_output(grad_vector_source, "grad_vector", type, {hidden});
    if (grad_weight.has_value() != grad_bias.has_value() ||
        grad_weight.has_value() != grad_vector.has_value()) {
      throw data_error("grad_weight, grad_bias and grad_vector go together: pass all or none");
    }
    const auto layout = make_attention_layout(in.num_rows, in.num_layers, in.dim, hidden, true);
    const tensor scratch = scratch_for<T>(scratch_source, layout.parts);
    const combine_attention_grad_args<T> args{.input = in,
                                              .hidden = hidden,
                                              .weight = weight.data<const T>(),
                                              .bias = bias.data<const T>(),
                                              .vector = vector.data<const T>(),
                                              .alpha = alpha.data<const T>(),
                                              .grad = grad.data<const T>(),
                                              .grad_of_alpha = pointer<T>(grad_of_alpha),
                                              .grad_layers = grads.pointers(),
                                              .grad_weight = mutable_pointer<T>(grad_weight),
                                              .grad_bias = mutable_pointer<T>(grad_bias),
                                              .grad_vector = mutable_pointer<T>(grad_vector),
                                              .scratch = scratch.data<T>(),
                                              .num_workers = num_threads()};
    const py::gil_scoped_release unlocked;
    kernels().combine.run(args);
  });
}

void self_attention(const py::sequence& layer_sources, const py::object& query_source,
                    const py::object& key_source, const py::object& value_source, int64_t num_heads,
                    const py::object& mask_source, const py::object& out_source,
                    const py::object& alpha_source, const py::object& scratch_source) {
  const std::vector<tensor> layers = import_layers(layer_sources);
  dispatch_real(layers.front(), [&]<class T>() {
    constexpr dtype type = dtype_of<T>::value;
    const pooled_rows<T> rows(layers, mask_source);
    const combine_input<T>& in = rows.input();
    check_heads(num_heads, in.dim);
    const tensor query = input(query_source, "w_query", type, {in.dim, in.dim});
    const tensor key = input(key_source, "w_key", type, {in.dim, in.dim});
    const tensor value = input(value_source, "w_value", type, {in.dim, in.dim});
    const tensor out = output(out_source, "out", type, {in.num_rows, in.dim});
    const tensor alpha = output(alpha_source, "alpha", type, {in.num_rows, in.num_layers});
    const auto layout = make_self_attention_layout(in.num_rows, in.num_layers, in.dim, false);
    const tensor scratch = scratch_for<T>(scratch_source, layout.parts);
    const combine_self_attention_args<T> args{.input = in,
                                              .num_heads = num_heads,
                                              .query = query.data<const T>(),
                                              .key = key.data<const T>(),
                                              .value = value.data<const T>(),
                                              .out = out.data<T>(),
                                              .alpha = alpha.data<T>(),
                                              .scratch = scratch.data<T>(),
                                              .num_workers = num_threads()};
    const py::gil_scoped_release unlocked;
    kernels().combine.run(args);
  });
}

void self_attention_grad(const py::sequence& layer_sources, const py::object& query_source,
                         const py::object& key_source, const py::object& value_source, int64_t num_heads,
                         const py::object& mask_source, const py::object& grad_source,
                         const py::object& grad_of_alpha_source, const py::object& grad_layers_source,
                         const py::object& grad_query_source, const py::object& grad_key_source,
                         const py::object& grad_value_source, const py::object& scratch_source) {
  const std::vector<tensor> layers = import_layers(layer_sources);
  dispatch_real(layers.front(), [&]<class T>() {
    constexpr dtype type = dtype_of<T>::value;
    const pooled_rows<T> rows(layers, mask_source);
    const combine_input<T>& in = rows.input();
    check_heads(num_heads, in.dim);
    const tensor query = input(query_source, "w_query", type, {in.dim, in.dim});
    const tensor key = input(key_source, "w_key", type, {in.dim, in.dim});
    const tensor value = input(value_source, "w_value", type, {in.dim, in.dim});
    const tensor grad = input(grad_source, "grad", type, {in.num_rows, in.dim});
    const auto grad_of_alpha =
        optional_input(grad_of_alpha_source, "grad_of_alpha", type, {in.num_rows, in.num_layers});
    const layer_grads<T> grads(grad_layers_source, in);
    const auto grad_query = optional_output(grad_query_source, "grad_query", type, {in.dim, in.dim});
    const auto grad_key = optional_output(grad_key_source, "grad_key", type, {in.dim, in.dim});
    const auto grad_value = optional_output(grad_value_source, "grad_value", type, {in.dim, in.dim});
    if (grad_query.has_value() != grad_key.has_value() || grad_query.has_value() != grad_value.has_value()) {
      throw data_error("grad_query, grad_key and grad_value go together: pass all or none");
    }
    const auto layout = make_self_attention_layout(in.num_rows, in.num_layers, in.dim, true);
    const tensor scratch = scratch_for<T>(scratch_source, layout.parts);
    const combine_self_attention_grad_args<T> args{.input = in,
                                                   .num_heads = num_heads,
                                                   .query = query.data<const T>(),
                                                   .key = key.data<const T>(),
                                                   .value = value.data<const T>(),
                                                   .grad = grad.data<const T>(),
                                                   .grad_of_alpha = pointer<T>(grad_of_alpha),
                                                   .grad_layers = grads.pointers(),
                                                   .grad_query = mutable_pointer<T>(grad_query),
                                                   .grad_key = mutable_pointer<T>(grad_key),
                                                   .grad_value = mutable_pointer<T>(grad_value),
                                                   .scratch = scratch.data<T>(),
                                                   .num_workers = num_threads()};
    const py::gil_scoped_release unlocked;
    kernels().combine.run(args);
  });
}

// Elements of scratch that a call from this thread needs.
int64_t attention_scratch(int64_t num_rows, int64_t num_layers, int64_t dim, int64_t hidden, bool backward) {
  return make_attention_layout(num_rows, num_layers, dim, hidden, backward).parts.size(num_threads());
}

int64_t self_attention_scratch(int64_t num_rows, int64_t num_layers, int64_t dim, bool backward) {
  return make_self_attention_layout(num_rows, num_layers, dim, backward).parts.size(num_threads());
}

}  // namespace

void bind_combine(py::module_& m) {
  using py::arg;
  m.def(
      "combine_slots",
      [](int64_t num_rows, int64_t num_layers) { return combine_slots(num_rows, num_layers); },
      arg("num_rows"), arg("num_layers"));
  m.def("combine_attention_scratch", &attention_scratch, arg("num_rows"), arg("num_layers"), arg("dim"),
        arg("hidden"), arg("backward"));
  m.def("combine_self_attention_scratch", &self_attention_scratch, arg("num_rows"), arg("num_layers"),
        arg("dim"), arg("backward"));
  m.def("combine_weighted", &weighted, arg("layers"), arg("alpha"), arg("out"));
  m.def("combine_weighted_grad", &weighted_grad, arg("layers"), arg("alpha"), arg("grad"), arg("grad_layers"),
        arg("grad_alpha"), arg("partial"));
  m.def("combine_attention", &attention, arg("layers"), arg("weight"), arg("bias"), arg("vector"),
        arg("mask"), arg("out"), arg("alpha"), arg("scratch"));
  m.def("combine_attention_grad", &attention_grad, arg("layers"), arg("weight"), arg("bias"), arg("vector"),
        arg("mask"), arg("alpha"), arg("grad"), arg("grad_of_alpha"), arg("grad_layers"), arg("grad_weight"),
        arg("grad_bias"), arg("grad_vector"), arg("scratch"));
  m.def("combine_self_attention", &self_attention, arg("layers"), arg("w_query"), arg("w_key"),
        arg("w_value"), arg("n_heads"), arg("mask"), arg("out"), arg("alpha"), arg("scratch"));
  m.def("combine_self_attention_grad", &self_attention_grad, arg("layers"), arg("w_query"), arg("w_key"),
        arg("w_value"), arg("n_heads"), arg("mask"), arg("grad"), arg("grad_of_alpha"), arg("grad_layers"),
        arg("grad_query"), arg("grad_key"), arg("grad_value"), arg("scratch"));
}

}  // namespace pyrec
