#include <pybind11/stl.h>

#include "common/check.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"
#include "debias/plan.hpp"
#include "isa/kernels.hpp"

namespace pyrec {

namespace {

constexpr int64_t stride_multiple = 16;
constexpr int64_t largest_dim = 512;

int64_t stride_of(int64_t dim) { return (dim + 2 + stride_multiple - 1) / stride_multiple * stride_multiple; }

void check_permutation(const tensor& order, int64_t row_length) {
  const auto* values = order.data<const int32_t>();
  std::vector<bool> seen;
  for (int64_t k = 0; k < order.numel(); ++k) {
    if (k % row_length == 0) seen.assign(static_cast<size_t>(row_length), false);
    check_bound(order.name(), "rows", k, values[k], row_length);
    if (seen[static_cast<size_t>(values[k])]) {
      throw data_error(std::string(order.name()) + " names " + std::to_string(values[k]) +
                       " twice, but an order has everyone once");
    }
    seen[static_cast<size_t>(values[k])] = true;
  }
}

void check_values(const tensor& array, const char* kind, int64_t count) {
  const auto* values = array.data<const int32_t>();
  for (int64_t k = 0; k < array.numel(); ++k) check_bound(array.name(), kind, k, values[k], count);
}

// indptr: (num_users + 1,) int64; items, codes: (num_pairs,) int32; uniform_*: (num_uniform,) int32.
debias_plan make_plan(const py::object& indptr_source, const py::object& items_source,
                      const py::object& codes_source, int64_t num_items, int64_t num_positions,
                      const py::object& uniform_users_source, const py::object& uniform_items_source,
                      const py::object& uniform_labels_source) {
  const tensor indptr = input(indptr_source, "indptr", dtype::int64, {any_size});
  const tensor items = input(items_source, "items", dtype::int32, {any_size});
  const tensor codes = input(codes_source, "codes", dtype::int32, {items.size(0)});
  const tensor users_of = input(uniform_users_source, "uniform_users", dtype::int32, {any_size});
  const tensor items_of = input(uniform_items_source, "uniform_items", dtype::int32, {users_of.size(0)});
  const tensor labels = input(uniform_labels_source, "uniform_labels", dtype::int32, {users_of.size(0)});
  check_range("num_items", num_items, 1, INT32_MAX);
  check_range("num_positions", num_positions, 0, INT32_MAX / 4);
  check_range("users", indptr.size(0) - 1, 1, INT32_MAX);
  check_range("pairs", items.size(0), 1, INT32_MAX);
  check_range("uniform pairs", users_of.size(0), 1, INT32_MAX);
  const int64_t num_users = indptr.size(0) - 1;
  check_indptr("indptr", indptr.data<const int64_t>(), num_users, items.size(0));
  check_values(items, "items", num_items);
  check_values(codes, "codes", 2 * (num_positions > 0 ? num_positions : 1));
  check_values(users_of, "users", num_users);
  check_values(items_of, "items", num_items);
  const auto* label = labels.data<const int32_t>();
  for (int64_t k = 0; k < labels.numel(); ++k) {
    if (label[k] == 1 || label[k] == -1) continue;
    throw data_error("uniform_labels[" + std::to_string(k) + "] = " + std::to_string(label[k]) +
                     ", but -1 or 1 is needed");
  }
  const py::gil_scoped_release unlocked;
  return {num_users,
          num_items,
          indptr.data<const int64_t>(),
          items.data<const int32_t>(),
          codes.data<const int32_t>(),
          num_positions,
          users_of.data<const int32_t>(),
          items_of.data<const int32_t>(),
          label,
          users_of.size(0)};
}

// user_order: (num_users,) int32; item_order: (num_user_blocks, num_items) int32.
void arrange(debias_plan& plan, const py::object& user_order_source, const py::object& item_order_source,
             int64_t users_per_block, int64_t items_per_block) {
  check_range("users_per_block", users_per_block, 1, plan.num_users());
  check_range("items_per_block", items_per_block, 1, plan.num_items());
  const int64_t blocks = (plan.num_users() + users_per_block - 1) / users_per_block;
  const tensor users = input(user_order_source, "user_order", dtype::int32, {plan.num_users()});
  const tensor items = input(item_order_source, "item_order", dtype::int32, {blocks, plan.num_items()});
  check_permutation(users, plan.num_users());
  check_permutation(items, plan.num_items());
  const py::gil_scoped_release unlocked;
  plan.arrange(users.data<const int32_t>(), items.data<const int32_t>(), users_per_block, items_per_block);
}

void copy_plan(const debias_plan& plan, const py::object& out) {
  const tensor copy = output(out, "out", dtype::int32, {static_cast<int64_t>(plan.buffer().size())});
  std::copy(plan.buffer().begin(), plan.buffer().end(), copy.data<int32_t>());
}

void check_arranged(const debias_plan& plan) {
  if (plan.num_blocks() == 0) throw data_error("the plan has no blocks; call arrange first");
}

std::vector<int64_t> offsets_of(const debias_plan& plan) {
  const int64_t sizes[debias_parts] = {plan.num_users(), plan.num_items(), 2, plan.num_positions(),
                                       plan.num_users(), plan.num_items(), 2, 3};
  std::vector<int64_t> offset(debias_parts + 1, 0);
  for (size_t part = 0; part < debias_parts; ++part) offset[part + 1] = offset[part] + sizes[part];
  return offset;
}

template <class T>
debias_args<T> args_of(const debias_plan& plan, int64_t dim, const int32_t* copy) {
  debias_args<T> args{};
  plan.put_into(args, copy);
  args.dim = dim;
  args.stride = stride_of(dim);
  const std::vector<int64_t> offset = offsets_of(plan);
  std::copy(offset.begin(), offset.end(), args.offset);
  return args;
}

int64_t debias_scratch(const debias_plan& plan, const py::object& users_source, int64_t dim) {
  check_arranged(plan);
  check_range("dim", dim, 1, largest_dim);
  const tensor users(users_source, "users");
  const kernels_on kernels(users.where());
  int64_t bytes = 0;
  dispatch_real(users, [&]<class T>() { bytes = kernels->debias.scratch(args_of<T>(plan, dim, nullptr)); });
  return bytes;
}

// A number for each part of the parameters.
template <class T>
std::vector<T> of_parts(const char* name, const std::vector<T>& values) {
  if (values.size() == debias_parts) return values;
  throw data_error(std::string(name) + " has " + std::to_string(values.size()) +
                   " entries, but 8 are needed");
}

// users: (num_users, stride); items: (num_items, stride); parameter, factor, moment, square: (num_parameters,);
// weight: (num_pairs,); loss: (1,) float64.
void debias(const debias_plan& plan, int64_t dim, int64_t first_block, int64_t last_block,
            const py::object& users_source, const py::object& items_source,
            const py::object& parameter_source, const py::object& factor_source,
            const py::object& moment_source, const py::object& square_source,
            const std::vector<bool>& learned, const std::vector<int64_t>& steps,
            const std::vector<double>& rates, const std::vector<double>& decays, double bound, double eta,
            double lambda, double reg, const py::object& weight_source, const py::object& plan_copy_source,
            const py::object& loss_source, const py::object& scratch_source, int64_t stream) {
  check_arranged(plan);
  check_range("dim", dim, 1, largest_dim);
  check_range("first_block", first_block, 0, plan.num_blocks());
  check_range("last_block", last_block, first_block, plan.num_blocks());
  const tensor users(users_source, "users");
  const place at = place_of(users);
  const auto copy = optional_input(plan_copy_source, "plan_copy", dtype::int32,
                                   {static_cast<int64_t>(plan.buffer().size())}, at);
  if (!at.where.on_cpu() && !copy)
    throw data_error("plan_copy is None, but a device needs a copy of the plan");
  dispatch_real(users, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    debias_args<T> args = args_of<T>(plan, dim, copy ? copy->data<const int32_t>() : nullptr);
    require_output(users, real, {args.num_users, args.stride}, at);
    const tensor items = output(items_source, "items", real, {args.num_items, args.stride}, at);
    const int64_t count = args.offset[debias_parts];
    const tensor parameter = output(parameter_source, "parameter", real, {count}, at);
    const tensor factor = output(factor_source, "factor", real, {count}, at);
    const tensor moment = output(moment_source, "moment", real, {count}, at);
    const tensor square = output(square_source, "square", real, {count}, at);
    const auto weight = optional_input(weight_source, "weight", real, {args.num_pairs}, at);
    const tensor loss = output(loss_source, "loss", dtype::float64, {1}, at);
    const kernels_on kernels(at.where);
    const tensor scratch =
        output(scratch_source, "scratch", dtype::uint8, {kernels->debias.scratch(args)}, at);
    args.users = users.data<T>();
    args.items = items.data<T>();
    args.parameter = parameter.data<T>();
    args.factor = factor.data<T>();
    args.moment = moment.data<T>();
    args.square = square.data<T>();
    args.weight = pointer<T>(weight);
    of_parts("learned", learned);
    const std::vector<int64_t> taken = of_parts("steps", steps);
    const std::vector<double> rate = of_parts("rates", rates), decay = of_parts("decays", decays);
    for (size_t part = 0; part < debias_parts; ++part) {
      args.learned[part] = learned[part];
      args.steps[part] = taken[part];
      args.rate[part] = rate[part];
      args.decay[part] = decay[part];
    }
    args.bound = bound;
    args.eta = eta;
    args.lambda = lambda;
    args.reg = reg;
    args.first_block = first_block;
    args.last_block = last_block;
    args.loss = loss.data<double>();
    args.scratch = scratch.data<void>();
    args.stream = stream_of(stream);
    const py::gil_scoped_release unlocked;
    kernels->debias.run(args);
  });
}

}  // namespace

void bind_debias(py::module_& m) {
  py::class_<debias_plan>(m, "DebiasPlan", py::module_local())
      .def(py::init(&make_plan), py::kw_only(), py::arg("indptr"), py::arg("items"), py::arg("codes"),
           py::arg("num_items"), py::arg("num_positions"), py::arg("uniform_users"), py::arg("uniform_items"),
           py::arg("uniform_labels"))
      .def("arrange", &arrange, py::kw_only(), py::arg("user_order"), py::arg("item_order"),
           py::arg("users_per_block"), py::arg("items_per_block"))
      .def_property_readonly("num_blocks", &debias_plan::num_blocks)
      .def_property_readonly("offsets", &offsets_of)
      .def_property_readonly("size", [](const debias_plan& plan) { return plan.buffer().size(); })
      .def("copy", &copy_plan, py::arg("out"));
  m.def("debias_stride", &stride_of, py::arg("dim"));
  m.def("debias_scratch", &debias_scratch, py::arg("plan"), py::arg("users"), py::arg("dim"));
  m.def("debias", &debias, py::arg("plan"), py::kw_only(), py::arg("dim"), py::arg("first_block"),
        py::arg("last_block"), py::arg("users"), py::arg("items"), py::arg("parameter"), py::arg("factor"),
        py::arg("moment"), py::arg("square"), py::arg("learned"), py::arg("steps"), py::arg("rates"),
        py::arg("decays"), py::arg("bound"), py::arg("eta"), py::arg("lam"), py::arg("reg"),
        py::arg("weight") = py::none(), py::arg("plan_copy") = py::none(), py::arg("loss"),
        py::arg("scratch"), py::arg("stream") = 0);
}

}  // namespace pyrec
