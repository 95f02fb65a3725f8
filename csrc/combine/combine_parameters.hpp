#pragma once
// The parameters of the two attentions, checked against the rows that they are for.
#include "combine/combine_arrays.hpp"

namespace pyrec {

template <class T>
struct attention_parameters {
  tensor weight;
  int64_t hidden;
  tensor bias;
  tensor vector;

  attention_parameters(const pooled_rows<T>& rows, const py::handle& weight_source,
                       const py::handle& bias_source, const py::handle& vector_source)
      : weight(rows.in(weight_source, "weight", {any_size, rows.input().dim})),
        hidden(checked(weight.size(0))),
        bias(rows.in(bias_source, "bias", {hidden})),
        vector(rows.in(vector_source, "vector", {hidden})) {}

  attention_weights<T> weights(bool normalise) const {
    return {.weight = weight.data<const T>(),
            .bias = bias.data<const T>(),
            .vector = vector.data<const T>(),
            .hidden = hidden,
            .normalise = normalise};
  }

 private:
  static int64_t checked(int64_t hidden) {
    check_range("weight.shape[0]", hidden, 1, max_combine_dim);
    return hidden;
  }
};

template <class T>
struct self_attention_parameters {
  tensor query;
  tensor key;
  tensor value;

  self_attention_parameters(const pooled_rows<T>& rows, const py::handle& query_source,
                            const py::handle& key_source, const py::handle& value_source, int64_t num_heads)
      : query(rows.in(query_source, "w_query", {rows.input().dim, rows.input().dim})),
        key(rows.in(key_source, "w_key", {rows.input().dim, rows.input().dim})),
        value(rows.in(value_source, "w_value", {rows.input().dim, rows.input().dim})) {
    const int64_t dim = rows.input().dim;
    check_range("n_heads", num_heads, 1, dim);
    if (dim % num_heads == 0) return;
    throw config_error("n_heads = " + std::to_string(num_heads) + " does not divide dim = " +
                       std::to_string(dim) + "; each head takes an equal share of the columns");
  }

  self_attention_weights<T> weights(int64_t num_heads) const {
    return {.query = query.data<const T>(),
            .key = key.data<const T>(),
            .value = value.data<const T>(),
            .num_heads = num_heads};
  }
};

}  // namespace pyrec
