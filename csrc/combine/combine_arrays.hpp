#pragma once
// The arrays of a combine, checked: what the bindings of all three kinds share.
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

// "layers[0]", "grad_layers[0]" and so on: tensors keep a pointer to their name.
inline const char* element_name(bool grad, int64_t position) {
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

inline std::vector<tensor> import_layers(const py::sequence& sources) {
  const auto count = static_cast<int64_t>(py::len(sources));
  check_range("the number of layers", count, 1, max_combine_layers);
  std::vector<tensor> layers;
  layers.reserve(static_cast<size_t>(count));
  for (int64_t l = 0; l < count; ++l) {
    layers.emplace_back(sources[static_cast<size_t>(l)], element_name(false, l));
  }
  return layers;
}

inline void require_matrix(const tensor& layer) {
  if (layer.ndim() == 2) return;
  throw data_error(std::string(layer.name()) + " has shape " + layer.shape_text() +
                   ", but (num_rows, dim) is needed");
}

// A row may lie anywhere, but its numbers side by side.
inline void require_rows(const tensor& layer, dtype type, int64_t num_rows, int64_t dim, const place& at) {
  const std::string name = layer.name();
  require_place(layer, at);
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

// What every combine reads, checked, and the kernels of its device. Keeps the arrays alive and the pointers
// in place; imports the other arrays of the call, which have the layers' dtype and device.
template <class T>
class pooled_rows {
 public:
  pooled_rows(const std::vector<tensor>& layers, const py::handle& mask)
      : at_(place_of(layers.front())), kernels_(at_.where) {
    const tensor& first = layers.front();
    require_matrix(first);
    const int64_t num_rows = first.size(0);
    const int64_t dim = first.size(1);
    const auto num_layers = static_cast<int64_t>(layers.size());
    check_range("layers[0].shape[1]", dim, 1, max_combine_dim);
    for (const tensor& layer : layers) {
      require_rows(layer, dtype_of<T>::value, num_rows, dim, at_);
      rows_.push_back({layer.data<const T>(), layer.stride(0)});
    }
    if (!mask.is_none()) {
      mask_.emplace(pyrec::input(mask, "mask", dtype::boolean, {num_rows, num_layers}, at_));
    }
    input_ = {rows_.data(), num_layers, num_rows, dim, pointer<bool>(mask_)};
  }
  pooled_rows(const pooled_rows&) = delete;
  pooled_rows& operator=(const pooled_rows&) = delete;

  using shape = std::initializer_list<int64_t>;
  tensor in(const py::handle& source, const char* name, shape extents) const {
    return pyrec::input(source, name, dtype_of<T>::value, extents, at_);
  }
  tensor out(const py::handle& source, const char* name, shape extents) const {
    return output(source, name, dtype_of<T>::value, extents, at_);
  }
  std::optional<tensor> optional_in(const py::handle& source, const char* name, shape extents) const {
    return optional_input(source, name, dtype_of<T>::value, extents, at_);
  }
  std::optional<tensor> optional_out(const py::handle& source, const char* name, shape extents) const {
    return optional_output(source, name, dtype_of<T>::value, extents, at_);
  }

  const combine_input<T>& input() const { return input_; }
  const place& at() const { return at_; }
  const combine_kernels& kernels() const { return kernels_->combine; }

 private:
  place at_;
  kernels_on kernels_;
  std::vector<layer_rows<T>> rows_;
  std::optional<tensor> mask_;
  combine_input<T> input_{};
};

// Calls body(rows) with the pooled_rows<T> of the layers' dtype.
template <class Body>
void with_rows(const py::sequence& layer_sources, const py::handle& mask, const Body& body) {
  const std::vector<tensor> layers = import_layers(layer_sources);
  dispatch_real(layers.front(), [&]<class T>() { body(pooled_rows<T>(layers, mask)); });
}

// The results of the forward passes with weights of their own for each node.
template <class T>
struct pooled_results {
  tensor out;
  tensor alpha;

  pooled_results(const pooled_rows<T>& rows, const py::handle& out_source, const py::handle& alpha_source)
      : out(rows.out(out_source, "out", {rows.input().num_rows, rows.input().dim})),
        alpha(rows.out(alpha_source, "alpha", {rows.input().num_rows, rows.input().num_layers})) {}
};

// What every backward pass takes and gives: the gradients of the results, and one for each layer or none.
template <class T>
class layer_grads {
 public:
  layer_grads(const pooled_rows<T>& rows, const py::handle& grad_source, const py::object& sources)
      : grad_(rows.in(grad_source, "grad", {rows.input().num_rows, rows.input().dim})) {
    if (sources.is_none()) return;
    const combine_input<T>& in = rows.input();
    const auto list = py::cast<py::sequence>(sources);
    if (static_cast<int64_t>(py::len(list)) != in.num_layers) {
      throw data_error("grad_layers has " + std::to_string(py::len(list)) + " arrays, but there are " +
                       std::to_string(in.num_layers) + " layers");
    }
    for (int64_t l = 0; l < in.num_layers; ++l) {
      arrays_.push_back(rows.out(list[static_cast<size_t>(l)], element_name(true, l), {in.num_rows, in.dim}));
      pointers_.push_back(arrays_.back().template data<T>());
    }
  }
  const T* grad() const { return grad_.data<const T>(); }
  T* const* pointers() const { return pointers_.empty() ? nullptr : pointers_.data(); }

 private:
  tensor grad_;
  std::vector<tensor> arrays_;
  std::vector<T*> pointers_;
};

// Gradients of three parameters, all or none.
inline void check_three(const std::array<std::optional<tensor>, 3>& grads, const char* names) {
  if (grads[0].has_value() == grads[1].has_value() && grads[0].has_value() == grads[2].has_value()) return;
  throw data_error(std::string(names) + " go together: pass all or none");
}

}  // namespace pyrec
