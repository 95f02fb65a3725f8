#pragma once
// What the bindings of the losses of pairs check.
#include <string>

#include "common/check.hpp"
#include "pointwise/pointwise.hpp"

namespace pyrec {

inline pointwise_kind pointwise_kind_of(const std::string& name) {
  if (name == "logistic") return pointwise_kind::logistic;
  if (name == "squared") return pointwise_kind::squared;
  throw config_error("kind = '" + name + "' is neither 'logistic' nor 'squared'");
}

template <class T>
void check_labels(pointwise_kind kind, const tensor& label) {
  const T* values = label.data<const T>();
  for (int64_t s = 0; s < label.numel(); ++s) {
    if (sound_label(kind, values[s])) continue;
    const bool logistic = kind == pointwise_kind::logistic;
    throw data_error(std::string(label.name()) + "[" + std::to_string(s) +
                     "] = " + std::to_string(values[s]) + ", but a label of the " +
                     (logistic ? "logistic loss is between 0 and 1" : "squared loss is a finite number"));
  }
}

// Rows of `vectors` for the samples of a batch.
struct sample_pairs {
  tensor vectors;  // (num_rows, dim)
  tensor users;    // (num_samples,)
  tensor items;    // (num_samples,)

  sample_pairs(const py::object& vectors_source, const py::object& users_source,
               const py::object& items_source)
      : vectors(vectors_source, "vectors"), users(users_source, "users"), items(items_source, "items") {
    const place at = place_of(vectors);
    require(users, dtype::int64, {any_size}, at);
    require(items, dtype::int64, {users.size(0)}, at);
    if (users.numel() == 0) throw data_error("users is empty; a mean over no samples has no value");
    check_range("rows named by a batch", 2 * users.size(0), 1, INT32_MAX);
  }

  void check_rows() const {
    check_bounds(users, "vectors", vectors.size(0));
    check_bounds(items, "vectors", vectors.size(0));
  }
};

}  // namespace pyrec
