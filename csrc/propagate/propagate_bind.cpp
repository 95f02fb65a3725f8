#include <algorithm>
#include <array>

#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"
#include "graph/graph.hpp"

namespace pyrec {

namespace {

void checked_row_slots(const row_slots_args& a) {
  std::fill_n(a.slot, a.num_nodes, -1);
  for (int64_t i = 0; i < a.num_rows; ++i) {
    const int64_t row = a.rows[i];
    check_bound("rows", "nodes", i, row, a.num_nodes);
    if (a.slot[row] >= 0) {
      fail_index("rows", i, row,
                 "which is rows[" + std::to_string(a.slot[row]) + "] too; pass distinct rows (torch.unique)");
    }
    a.slot[row] = static_cast<int32_t>(i);
  }
}

// rows: (num_rows,) of distinct nodes; slot: (num_nodes,) becomes the position of each node in rows, or -1;
// bad_rows: (1,) becomes true where rows is wrong; the CPU's kernels raise at once.
void row_slots(const graph& g, const py::handle& rows_source, const py::handle& slot_source,
               const py::handle& bad_rows_source, int64_t stream) {
  const place at = g.at();
  const tensor rows = input(rows_source, "rows", dtype::int64, {any_size}, at);
  const tensor slot = output(slot_source, "slot", dtype::int32, {g.num_nodes()}, at);
  const auto bad_rows = optional_output(bad_rows_source, "bad_rows", dtype::boolean, {1}, at);
  if (!at.where.on_cpu() && !bad_rows) throw data_error("bad_rows is needed on a device; pass (1,) bool");
  bool found = false;
  const row_slots_args args{.rows = rows.data<const int64_t>(),
                            .num_rows = rows.size(0),
                            .slot = slot.data<int32_t>(),
                            .num_nodes = g.num_nodes(),
                            .bad_rows = bad_rows ? bad_rows->data<bool>() : &found,
                            .stream = stream_of(stream)};
  const py::gil_scoped_release unlocked;
  const kernels_on kernels(at.where);
  const auto on_device = kernels->propagate.row_slots;
  if (on_device == nullptr || (at.where.on_cpu() && !bad_rows)) checked_row_slots(args);
  if (on_device != nullptr) on_device(args);
}

// Rows of scratch that a layer needs as `partial`.
int64_t propagate_pieces(const graph& g) {
  return kernels_on(g.at().where)->propagate.splits_rows ? g.device_schedule().num_pieces : 0;
}

void check_slots(const tensor& slot, int64_t num_slots) {
  const auto* values = slot.data<const int32_t>();
  for (int64_t node = 0; node < slot.size(0); ++node) {
    if (values[node] < -1 || values[node] >= num_slots) {
      fail_index(slot.name(), node, values[node], "but there are " + std::to_string(num_slots) + " rows");
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

// Returns whether every sum over a row's neighbours is a finite number; true where not_finite is to say it.
bool propagate_layer(const graph& g, const py::object& x_source, const py::object& out_source,
                     const py::object& rows_source, const py::object& slot_source,
                     const py::object& weights_source, const py::object& pre_source,
                     const py::object& post_source, const py::object& add_source,
                     const py::object& add_slot_source, const py::object& add_scale_source,
                     const py::object& total_source, const py::object& total_scale_source, double total_alpha,
                     const py::object& adam_source, const py::object& dropout_source,
                     const py::object& row_slot_source, const py::object& partial_source,
                     const py::object& not_finite_source, int64_t stream) {
  const int64_t n = g.num_nodes();
  const place at = g.at();
  const auto x = optional_tensor(x_source, "x");
  const auto add = optional_tensor(add_source, "add");
  if (!x && !add) throw data_error("x and add are both None; a layer needs one of them");
  const auto out = optional_tensor(out_source, "out");
  const auto not_finite = optional_output(not_finite_source, "not_finite", dtype::boolean, {1}, at);
  if (!at.where.on_cpu() && !not_finite) throw data_error("not_finite is needed on a device; pass (1,) bool");
  bool found = false;
  dispatch_storage(x ? *x : *add, out, [&]<class T, class X, class Out>() {
    constexpr dtype type = dtype_of<T>::value;
    const auto slot = optional_input(slot_source, "slot", dtype::int32, {n}, at);
    const auto add_slot = optional_input(add_slot_source, "add_slot", dtype::int32, {n}, at);
    if (x) require(*x, dtype_of<X>::value, {slot ? any_size : n, any_size}, at);
    if (add) require(*add, type, {add_slot ? any_size : n, x ? x->size(1) : any_size}, at);
    const int64_t dim = (x ? *x : *add).size(1);
    check_range("x.shape[1]", dim, 1, 512);
    const auto rows = optional_input(rows_source, "rows", dtype::int64, {any_size}, at);
    const kernels_on kernels(at.where);
    const bool splits = kernels->propagate.splits_rows;
    if (at.where.on_cpu() && !splits) {
      if (slot) check_slots(*slot, x ? x->size(0) : 0);
      if (add_slot) check_slots(*add_slot, add ? add->size(0) : 0);
      if (rows) check_bounds(*rows, "nodes", n);
    }
    const auto weights = optional_input(weights_source, "weights", type, {g.num_edges()}, at);
    const auto pre = optional_input(pre_source, "pre", type, {n}, at);
    const auto post = optional_input(post_source, "post", type, {n}, at);
    const auto add_scale = optional_input(add_scale_source, "add_scale", type, {n}, at);
    if (out) require_output(*out, dtype_of<Out>::value, {rows ? rows->size(0) : n, dim}, at);
    const auto total = optional_output(total_source, "total", type, {n, dim}, at);
    const auto total_scale = optional_input(total_scale_source, "total_scale", type, {n}, at);
    const adam_arrays<T> adam(adam_source, n, dim, at, kernels->propagate.reads_adam_numbers);
    const row_schedule schedule = splits ? g.device_schedule() : row_schedule{};
    const auto row_slot = optional_input(row_slot_source, "row_slot", dtype::int32, {n}, at);
    const auto partial = optional_output(partial_source, "partial", type, {schedule.num_pieces, dim}, at);
    if (splits && ((rows && !row_slot) || (!partial && schedule.num_pieces > 0))) {
      throw data_error("on a device rows goes with row_slot, and a graph with long rows needs partial");
    }
    if ((pre && (weights || slot)) || (rows && (total || adam.given()))) {
      throw data_error("pre cannot go with weights or slot, nor total or adam with rows");
    }
    if (propagate_args<T, X, Out>::half_source && (pre || slot)) {
      throw data_error("x has dtype bfloat16, but with pre or slot float32 or float64 is needed");
    }
    if (propagate_args<T, X, Out>::half_out && adam.given()) {
      throw data_error("out has dtype bfloat16, but with adam float32 or float64 is needed");
    }
    const propagate_args<T, X, Out> args{.indptr = g.indptr.data<const int64_t>(),
                                         .indices = g.indices.data<const int32_t>(),
                                         .chunks = g.chunks.data(),
                                         .num_chunks = static_cast<int64_t>(g.chunks.size()) - 1,
                                         .num_edges = g.num_edges(),
                                         .dim = dim,
                                         .dropout = read_dropout(dropout_source),
                                         .rows = pointer<int64_t>(rows),
                                         .num_rows = rows ? rows->size(0) : 0,
                                         .x = pointer<X>(x),
                                         .slot = pointer<int32_t>(slot),
                                         .weights = pointer<T>(weights),
                                         .pre = pointer<T>(pre),
                                         .post = pointer<T>(post),
                                         .add = pointer<T>(add),
                                         .add_slot = pointer<int32_t>(add_slot),
                                         .add_scale = pointer<T>(add_scale),
                                         .out = mutable_pointer<Out>(out),
                                         .total = mutable_pointer<T>(total),
                                         .total_scale = pointer<T>(total_scale),
                                         .total_alpha = static_cast<T>(total_alpha),
                                         .adam = adam.step(),
                                         .not_finite = not_finite ? not_finite->data<bool>() : &found,
                                         .schedule = schedule,
                                         .row_slot = pointer<int32_t>(row_slot),
                                         .partial = mutable_pointer<T>(partial),
                                         .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    kernels->propagate.layer(args);
  });
  return !found;
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
  m.def("row_slots", &row_slots, py::arg("graph"), py::arg("rows"), py::arg("slot"),
        py::arg("bad_rows") = py::none(), py::arg("stream") = 0);
  m.def("propagate_pieces", &propagate_pieces, py::arg("graph"));
  m.def("propagate_layer", &propagate_layer, py::arg("graph"), py::arg("x"), py::arg("out"), py::kw_only(),
        py::arg("rows") = py::none(), py::arg("slot") = py::none(), py::arg("weights") = py::none(),
        py::arg("pre") = py::none(), py::arg("post") = py::none(), py::arg("add") = py::none(),
        py::arg("add_slot") = py::none(), py::arg("add_scale") = py::none(), py::arg("total") = py::none(),
        py::arg("total_scale") = py::none(), py::arg("total_alpha") = 0.0, py::arg("adam") = py::none(),
        py::arg("dropout") = py::none(), py::arg("row_slot") = py::none(), py::arg("partial") = py::none(),
        py::arg("not_finite") = py::none(), py::arg("stream") = 0);
}

}  // namespace pyrec
