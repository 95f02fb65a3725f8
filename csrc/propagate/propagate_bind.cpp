#include <algorithm>
#include <array>
#include <string_view>

#include "common/caches.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"
#include "graph/graph.hpp"

namespace pyrec {

namespace {

void checked_rows_of_nodes(const rows_of_nodes_args& a) {
  std::fill_n(a.row_of_node, a.num_nodes, -1);
  for (int64_t i = 0; i < a.num_rows; ++i) {
    const int64_t node = a.rows[i];
    check_bound("rows", "nodes", i, node, a.num_nodes);
    if (a.row_of_node[node] >= 0) {
      fail_index("rows", i, node,
                 "which is rows[" + std::to_string(a.row_of_node[node]) +
                     "] too; pass distinct rows (torch.unique)");
    }
    a.row_of_node[node] = static_cast<int32_t>(i);
  }
}

// rows: (num_rows,) of distinct nodes; row_of_node: (num_nodes,) becomes the position of each node in rows, or
// -1; bad_rows: (1,) becomes true where rows is wrong; the CPU's kernels raise at once.
void rows_of_nodes(const graph& g, const py::handle& rows_source, const py::handle& row_of_node_source,
                   const py::handle& bad_rows_source, int64_t stream) {
  const place at = g.at();
  const tensor rows = input(rows_source, "rows", dtype::int64, {any_size}, at);
  const tensor row_of_node = output(row_of_node_source, "row_of_node", dtype::int32, {g.num_nodes()}, at);
  const auto bad_rows = optional_output(bad_rows_source, "bad_rows", dtype::boolean, {1}, at);
  if (!at.where.on_cpu() && !bad_rows) throw data_error("bad_rows is needed on a device; pass (1,) bool");
  bool any_bad = false;
  const rows_of_nodes_args args{.rows = rows.data<const int64_t>(),
                                .num_rows = rows.size(0),
                                .row_of_node = row_of_node.data<int32_t>(),
                                .num_nodes = g.num_nodes(),
                                .bad_rows = bad_rows ? bad_rows->data<bool>() : &any_bad,
                                .stream = stream_of(stream)};
  const py::gil_scoped_release unlocked;
  const kernels_on kernels(at.where);
  const auto on_device = kernels->propagate.rows_of_nodes;
  if (on_device == nullptr || (at.where.on_cpu() && !bad_rows)) checked_rows_of_nodes(args);
  if (on_device != nullptr) on_device(args);
}

// Rows of scratch that a layer needs as `partial`.
int64_t propagate_pieces(const graph& g) {
  return kernels_on(g.at().where)->propagate.splits_rows ? g.device_schedule().num_pieces : 0;
}

// row_of_node: (num_nodes,) of rows in [0, num_rows), or -1.
void check_rows_of_nodes(const tensor& row_of_node, int64_t num_rows) {
  const auto* rows = row_of_node.data<const int32_t>();
  for (int64_t node = 0; node < row_of_node.size(0); ++node) {
    if (rows[node] < -1 || rows[node] >= num_rows) {
      fail_index(row_of_node.name(), node, rows[node], "but there are " + std::to_string(num_rows) + " rows");
    }
  }
}

py::tuple read_tuple(const py::object& source, const char* name, size_t length) {
  if (py::isinstance<py::tuple>(source) && py::len(source) == length) return py::cast<py::tuple>(source);
  throw data_error(std::string(name) + " is a " + Py_TYPE(source.ptr())->tp_name + ", but a tuple of " +
                   std::to_string(length) + " is needed");
}

template <class T>
T read_number(const py::handle& source, const char* name) {
  try {
    return py::cast<T>(source);
  } catch (const py::cast_error&) {
    throw data_error(std::string(name) + " is a " + Py_TYPE(source.ptr())->tp_name +
                     ", but a number in its range is needed");
  }
}

// The arrays and numbers of an Adam step: a tuple in the order of adam_step's fields, or None. The last, the
// numbers in memory, may be None.
template <class T>
class adam_arrays {
 public:
  adam_arrays(const py::object& source, int64_t num_nodes, int64_t dim, const place& at,
              bool kernel_reads_numbers) {
    if (source.is_none()) return;
    const py::tuple fields = read_tuple(source, "adam", num_fields);
    constexpr dtype type = dtype_of<T>::value;
    arrays_.push_back(output(fields[0], "adam.parameters", type, {num_nodes, dim}, at));
    arrays_.push_back(output(fields[1], "adam.first_moment", type, {num_nodes, dim}, at));
    arrays_.push_back(output(fields[2], "adam.second_moment", type, {num_nodes, dim}, at));
    for (size_t i = 0; i < numbers_.size(); ++i) {
      numbers_[i] = static_cast<T>(read_number<double>(fields[3 + i], "a number of adam"));
    }
    const py::object& in_memory = fields[3 + numbers_.size()];
    if (in_memory.is_none()) return;
    arrays_.push_back(input(in_memory, "adam.numbers", type, {2}, at));
    if (kernel_reads_numbers) return;
    std::copy_n(arrays_.back().template data<const T>(), 2, numbers_.begin() + 2);
    arrays_.pop_back();
  }

  bool given() const { return !arrays_.empty(); }
  adam_step<T> step() const {
    if (!given()) return {};
    return {.parameters = arrays_[0].data<T>(),
            .first_moment = arrays_[1].data<T>(),
            .second_moment = arrays_[2].data<T>(),
            .beta1 = numbers_[0],
            .beta2 = numbers_[1],
            .step_size = numbers_[2],
            .root_scale = numbers_[3],
            .epsilon = numbers_[4],
            .numbers = arrays_.size() > 3 ? arrays_[3].template data<const T>() : nullptr};
  }

 private:
  static constexpr size_t num_fields = 9;
  std::vector<tensor> arrays_;  // the fourth, where the kernel reads it: numbers
  std::array<T, 5> numbers_{};
};

// source: (rate, seed), or None.
edge_dropout read_dropout(const py::object& source) {
  if (source.is_none()) return {};
  const py::tuple fields = read_tuple(source, "dropout", 2);
  const auto rate = read_number<double>(fields[0], "dropout's rate");
  const auto seed = read_number<uint64_t>(fields[1], "dropout's seed");
  if (!(rate >= 0 && rate < 1)) {
    throw config_error("dropout rate = " + std::to_string(rate) + " must be at least 0 and below 1");
  }
  return make_dropout(rate, seed);
}

// Calls body.operator()<T, X, Out>() with the types of propagate_args.
template <class Body>
void dispatch_storage(const tensor& x, const std::optional<tensor>& out, const Body& body) {
  const bool half_out = out && out->type() == dtype::bfloat16;
  if (x.type() == dtype::bfloat16) {
    return half_out ? body.template operator()<float, bfloat16, bfloat16>()
                    : body.template operator()<float, bfloat16, float>();
  }
  if (half_out && x.type() == dtype::float32) return body.template operator()<float, float, bfloat16>();
  dispatch_real(x, [&]<class T>() { body.template operator()<T, T, T>(); });
}

// The terms of a call by name, each checked as it is taken; one that is None is like one that is not given.
class named_terms {
 public:
  named_terms(const py::kwargs& given, const place& where) : at(where), given_(given) {
    taken_.reserve(py::len(given));
  }

  const place at;

  py::object take(const char* name) {
    PyObject* const found = PyDict_GetItemString(given_.ptr(), name);
    if (found == nullptr) return py::none();
    taken_.push_back(name);
    return py::reinterpret_borrow<py::object>(found);
  }
  std::optional<tensor> tensor_of_any_type(const char* name) { return optional_tensor(take(name), name); }
  std::optional<tensor> in(const char* name, dtype type, std::initializer_list<int64_t> shape) {
    return optional_input(take(name), name, type, shape, at);
  }
  std::optional<tensor> out(const char* name, dtype type, std::initializer_list<int64_t> shape) {
    return optional_output(take(name), name, type, shape, at);
  }
  template <class T>
  T number(const char* name) {
    const py::object given = take(name);
    return given.is_none() ? T(0) : read_number<T>(given, name);
  }

  // After the last term.
  void check_all_taken() const {
    if (py::len(given_) == taken_.size()) return;
    for (const auto& [key, value] : given_) {
      const auto name = py::cast<std::string>(key);
      if (std::find(taken_.begin(), taken_.end(), name) != taken_.end()) continue;
      throw py::type_error("propagate_layer got an unexpected keyword argument '" + name + "'");
    }
  }

 private:
  const py::kwargs& given_;
  std::vector<std::string_view> taken_;
};

// What is summed over a row's neighbours: x, and m_e.
template <class T, class X>
struct source_term {
  const std::optional<tensor>& x;
  std::optional<tensor> x_row, weights, pre;

  source_term(const std::optional<tensor>& given_x, const graph& g, bool check_values, named_terms& terms)
      : x(given_x),
        x_row(terms.in("x_row", dtype::int32, {g.num_nodes()})),
        weights(terms.in("weights", dtype_of<T>::value, {g.num_edges()})),
        pre(terms.in("pre", dtype_of<T>::value, {g.num_nodes()})) {
    if (x) require(*x, dtype_of<X>::value, {x_row ? any_size : g.num_nodes(), any_size}, terms.at);
    if (x_row && check_values) check_rows_of_nodes(*x_row, x ? x->size(0) : 0);
    if (pre && (weights || x_row)) throw data_error("pre cannot go with weights or x_row");
    if (sizeof(X) < sizeof(T) && (pre || x_row)) {
      throw data_error("x has dtype bfloat16, but with pre or x_row float32 or float64 is needed");
    }
  }
  template <class Args>
  void put(Args& args) const {
    args.x = pointer<X>(x);
    args.x_row = pointer<int32_t>(x_row);
    args.weights = pointer<T>(weights);
    args.pre = pointer<T>(pre);
  }
};

// add_scale[i] * add[add_row[i]]
template <class T>
struct added_term {
  const std::optional<tensor>& add;
  std::optional<tensor> add_row, add_scale;

  added_term(const std::optional<tensor>& given_add, int64_t dim, const graph& g, bool check_values,
             named_terms& terms)
      : add(given_add),
        add_row(terms.in("add_row", dtype::int32, {g.num_nodes()})),
        add_scale(terms.in("add_scale", dtype_of<T>::value, {g.num_nodes()})) {
    if (add) require(*add, dtype_of<T>::value, {add_row ? any_size : g.num_nodes(), dim}, terms.at);
    if (add_row && check_values) check_rows_of_nodes(*add_row, add ? add->size(0) : 0);
  }
  template <class Args>
  void put(Args& args) const {
    args.add = pointer<T>(add);
    args.add_row = pointer<int32_t>(add_row);
    args.add_scale = pointer<T>(add_scale);
  }
};

// total[i] += total_alpha * total_scale[i] * acc[i]
template <class T>
struct total_term {
  std::optional<tensor> total, total_scale;
  T total_alpha;

  total_term(int64_t num_nodes, int64_t dim, named_terms& terms)
      : total(terms.out("total", dtype_of<T>::value, {num_nodes, dim})),
        total_scale(terms.in("total_scale", dtype_of<T>::value, {num_nodes})),
        total_alpha(static_cast<T>(terms.number<double>("total_alpha"))) {}

  template <class Args>
  void put(Args& args) const {
    args.total = mutable_pointer<T>(total);
    args.total_scale = pointer<T>(total_scale);
    args.total_alpha = total_alpha;
  }
};

// The rows to compute, and what a kernel that splits rows needs besides.
template <class T>
struct row_terms {
  row_schedule schedule;
  std::optional<tensor> rows, row_of_node, partial;

  row_terms(const graph& g, int64_t dim, bool splits_rows, bool check_values, named_terms& terms)
      : schedule(splits_rows ? g.device_schedule() : row_schedule{}),
        rows(terms.in("rows", dtype::int64, {any_size})),
        row_of_node(terms.in("row_of_node", dtype::int32, {g.num_nodes()})),
        partial(terms.out("partial", dtype_of<T>::value, {schedule.num_pieces, dim})) {
    if (rows && check_values) check_bounds(*rows, "nodes", g.num_nodes());
    if (splits_rows && ((rows && !row_of_node) || (!partial && schedule.num_pieces > 0))) {
      throw data_error("on a device rows goes with row_of_node, and a graph with long rows needs partial");
    }
  }
  int64_t count() const { return rows ? rows->size(0) : 0; }

  template <class Args>
  void put(Args& args) const {
    args.rows = pointer<int64_t>(rows);
    args.num_rows = count();
    args.row_of_node = pointer<int32_t>(row_of_node);
    args.schedule = schedule;
    args.partial = mutable_pointer<T>(partial);
  }
};

// The arguments of a layer of this graph, its terms left out.
template <class T, class X, class Out>
propagate_args<T, X, Out> start_args(const graph& g, int64_t dim) {
  propagate_args<T, X, Out> args{};
  args.indptr = g.indptr.data<const int64_t>();
  args.indices = g.indices.data<const int32_t>();
  args.chunks = g.chunks.data();
  args.num_chunks = static_cast<int64_t>(g.chunks.size()) - 1;
  args.num_edges = g.num_edges();
  args.dim = dim;
  args.fetch_ahead_bytes = fetch_ahead_bytes();
  return args;
}

// Returns whether every sum over a row's neighbours is a finite number; true where not_finite is to say it.
// The terms are those of propagate_args, by their names.
bool propagate_layer(const graph& g, const py::object& x_source, const py::object& out_source,
                     const py::kwargs& given) {
  named_terms terms(given, g.at());
  const auto x = optional_tensor(x_source, "x");
  const auto add = terms.tensor_of_any_type("add");
  if (!x && !add) throw data_error("x and add are both None; a layer needs one of them");
  const auto out = optional_tensor(out_source, "out");
  const auto not_finite = terms.out("not_finite", dtype::boolean, {1});
  const bool on_cpu = terms.at.where.on_cpu();
  if (!on_cpu && !not_finite) throw data_error("not_finite is needed on a device; pass (1,) bool");
  bool any_not_finite = false;
  dispatch_storage(x ? *x : *add, out, [&]<class T, class X, class Out>() {
    const kernels_on kernels(terms.at.where);
    const bool splits_rows = kernels->propagate.splits_rows;
    const bool check_values = on_cpu && !splits_rows;
    const source_term<T, X> source(x, g, check_values, terms);
    const added_term<T> added(add, x ? x->size(1) : any_size, g, check_values, terms);
    const int64_t dim = (x ? *x : *add).size(1);
    check_range("x.shape[1]", dim, 1, propagate_max_dim);
    const row_terms<T> chosen(g, dim, splits_rows, check_values, terms);
    if (out)
      require_output(*out, dtype_of<Out>::value, {chosen.rows ? chosen.count() : g.num_nodes(), dim},
                     terms.at);
    const auto post = terms.in("post", dtype_of<T>::value, {g.num_nodes()});
    const total_term<T> total(g.num_nodes(), dim, terms);
    const adam_arrays<T> adam(terms.take("adam"), g.num_nodes(), dim, terms.at,
                              kernels->propagate.reads_adam_numbers);
    if (chosen.rows && (total.total || adam.given())) throw data_error("total and adam cannot go with rows");
    if (sizeof(Out) < sizeof(T) && adam.given()) {
      throw data_error("out has dtype bfloat16, but with adam float32 or float64 is needed");
    }
    auto args = start_args<T, X, Out>(g, dim);
    args.dropout = read_dropout(terms.take("dropout"));
    source.put(args);
    added.put(args);
    chosen.put(args);
    total.put(args);
    args.post = pointer<T>(post);
    args.out = mutable_pointer<Out>(out);
    args.adam = adam.step();
    args.not_finite = not_finite ? not_finite->data<bool>() : &any_not_finite;
    args.stream = stream_of(terms.number<int64_t>("stream"));
    terms.check_all_taken();
    const py::gil_scoped_release unlocked;
    kernels->propagate.layer(args);
  });
  return !any_not_finite;
}

void check_finite_rows(const py::object& x_source, const std::string& name) {
  const tensor x(x_source, name.c_str());
  dispatch_real(x, [&]<class T>() {
    require(x, dtype_of<T>::value, {any_size, any_size});
    const py::gil_scoped_release unlocked;
    check_finite(name.c_str(), x.data<const T>(), x.numel(), x.size(1));
  });
}

}  // namespace

void bind_propagate(py::module_& m) {
  m.def("check_finite_rows", &check_finite_rows, py::arg("x"), py::arg("name"));
  m.def("rows_of_nodes", &rows_of_nodes, py::arg("graph"), py::arg("rows"), py::arg("row_of_node"),
        py::arg("bad_rows") = py::none(), py::arg("stream") = 0);
  m.def("fetch_ahead_bytes", &fetch_ahead_bytes, "Bytes of rows that a layer fetches before it needs them.");
  m.def("propagate_pieces", &propagate_pieces, py::arg("graph"));
  m.def("propagate_layer", &propagate_layer, py::arg("graph"), py::arg("x"), py::arg("out"));
}

}  // namespace pyrec
