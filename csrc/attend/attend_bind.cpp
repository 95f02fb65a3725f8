#include "attend/attend.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

template <class T>
attend_args<T> args_of(const tensor& qkv, int64_t num_heads) {
  require(qkv, dtype_of<T>::value, {any_size, any_size}, place_of(qkv));
  check_range("n_heads", num_heads, 1, INT32_MAX);
  const int64_t width = qkv.size(1);
  if (width % (3 * num_heads) != 0) {
    throw config_error("n_heads = " + std::to_string(num_heads) + ", but qkv has " + std::to_string(width) +
                       " columns, which must be 3 * n_heads * head_dim");
  }
  attend_args<T> args{};
  args.num_rows = qkv.size(0);
  args.num_heads = num_heads;
  args.head_dim = width / (3 * num_heads);
  check_range("head_dim", args.head_dim, 1, attend_most_columns);
  return args;
}

// Bytes of scratch that each worker needs, where the gradients of as many slots are added to rows they share.
int64_t attend_scratch(const py::object& qkv_source, int64_t num_heads, int64_t num_added) {
  const tensor qkv(qkv_source, "qkv");
  check_range("num_added", num_added, 0, INT32_MAX);
  const kernels_on kernels(qkv.where());
  int64_t bytes = 0;
  dispatch_real(qkv, [&]<class T>() {
    attend_args<T> args = args_of<T>(qkv, num_heads);
    args.num_added = num_added;
    bytes = kernels->attend.scratch(args);
  });
  return bytes;
}

// Of the CPU, where contents are looked at.
void check_segments(const tensor& indptr, int64_t num_slots) {
  const auto* start = indptr.data<const int64_t>();
  const int64_t num_segments = indptr.size(0) - 1;
  check_indptr("indptr", start, num_segments, num_slots);
  for (int64_t s = 0; s < num_segments; ++s) {
    const int64_t count = start[s + 1] - start[s];
    if (count <= attend_most_slots) continue;
    throw data_error("segment " + std::to_string(s) + " of indptr has " + std::to_string(count) +
                     " slots, but at most " + std::to_string(attend_most_slots) +
                     " attend to one another; cut it, or keep its latest");
  }
}

// What both passes are given: qkv (num_rows, 3 * n_heads * head_dim), indptr (num_segments + 1,), index (num_slots,),
// key_bias (num_slots, n_heads), scratch (workers, bytes).
template <class T>
struct attend_input {
  place at;
  attend_args<T> args;
  kernels_on kernels;
  tensor indptr;
  std::optional<tensor> index;
  std::optional<tensor> key_bias;

  attend_input(const tensor& qkv, int64_t num_heads, const py::object& indptr_source,
               const py::object& index_source, const py::object& key_bias_source)
      : at(place_of(qkv)),
        args(args_of<T>(qkv, num_heads)),
        kernels(at.where),
        indptr(input(indptr_source, "indptr", dtype::int64, {any_size}, at)),
        index(optional_input(index_source, "index", dtype::int64, {any_size}, at)),
        key_bias(optional_input(key_bias_source, "key_bias", dtype_of<T>::value,
                                {index ? index->size(0) : args.num_rows, num_heads}, at)) {
    if (indptr.size(0) == 0) throw data_error("indptr is empty; without segments it is [0]");
    args.num_slots = index ? index->size(0) : args.num_rows;
    args.num_segments = indptr.size(0) - 1;
    if (!kernels->attend.checks_input) {
      check_segments(indptr, args.num_slots);
      if (index) check_bounds(*index, "rows of qkv", args.num_rows);
    }
    args.qkv = qkv.data<const T>();
    args.indptr = indptr.data<const int64_t>();
    args.index = index ? index->data<const int64_t>() : nullptr;
    args.key_bias = pointer<T>(key_bias);
  }

  void take_scratch(const tensor& scratch, int64_t stream) {
    require_output(scratch, dtype::uint8, {any_size, kernels->attend.scratch(args)}, at);
    check_range("scratch.shape[0]", scratch.size(0), 1, INT32_MAX);
    args.scratch = scratch.data<void>();
    args.num_workers = scratch.size(0);
    args.stream = stream_of(stream);
  }
};

// out: (num_slots, n_heads * head_dim).
void attend(const py::object& qkv_source, const py::object& indptr, int64_t num_heads,
            const py::object& index, const py::object& key_bias, const py::object& out_source,
            const py::object& scratch_source, int64_t stream) {
  const tensor qkv(qkv_source, "qkv"), scratch(scratch_source, "scratch");
  dispatch_real(qkv, [&]<class T>() {
    attend_input<T> given(qkv, num_heads, indptr, index, key_bias);
    attend_args<T>& args = given.args;
    const tensor out = output(out_source, "out", dtype_of<T>::value,
                              {args.num_slots, args.num_heads * args.head_dim}, given.at);
    args.out = out.data<T>();
    given.take_scratch(scratch, stream);
    const py::gil_scoped_release unlocked;
    given.kernels->attend.forward(args);
  });
}

// grad: (num_slots, n_heads * head_dim); grad_qkv as qkv; grad_key_bias as key_bias.
void attend_grad(const py::object& qkv_source, const py::object& indptr, int64_t num_heads,
                 const py::object& index, const py::object& key_bias, const py::object& grad_source,
                 const py::object& grad_qkv_source, const py::object& grad_key_bias_source,
                 const py::object& scratch_source, int64_t stream) {
  const tensor qkv(qkv_source, "qkv"), scratch(scratch_source, "scratch");
  dispatch_real(qkv, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    attend_input<T> given(qkv, num_heads, indptr, index, key_bias);
    attend_args<T>& args = given.args;
    const int64_t width = args.num_heads * args.head_dim;
    const tensor grad = input(grad_source, "grad", real, {args.num_slots, width}, given.at);
    const tensor grad_qkv = output(grad_qkv_source, "grad_qkv", real, {args.num_rows, 3 * width}, given.at);
    const auto grad_key_bias = optional_output(grad_key_bias_source, "grad_key_bias", real,
                                               {args.num_slots, args.num_heads}, given.at);
    args.num_added = given.index ? args.num_slots : 0;
    args.grad = grad.data<const T>();
    args.grad_qkv = grad_qkv.data<T>();
    args.grad_key_bias = mutable_pointer<T>(grad_key_bias);
    given.take_scratch(scratch, stream);
    const py::gil_scoped_release unlocked;
    given.kernels->attend.backward(args);
  });
}

}  // namespace

void bind_attend(py::module_& m) {
  m.attr("attend_max_slots") = attend_most_slots;
  m.attr("attend_max_columns") = attend_most_columns;
  m.def("attend_scratch", &attend_scratch, py::arg("qkv"), py::arg("n_heads"), py::arg("num_added"));
  m.def("attend", &attend, py::arg("qkv"), py::arg("indptr"), py::arg("n_heads"), py::kw_only(),
        py::arg("index") = py::none(), py::arg("key_bias") = py::none(), py::arg("out"), py::arg("scratch"),
        py::arg("stream") = 0);
  m.def("attend_grad", &attend_grad, py::arg("qkv"), py::arg("indptr"), py::arg("n_heads"), py::kw_only(),
        py::arg("index") = py::none(), py::arg("key_bias") = py::none(), py::arg("grad"), py::arg("grad_qkv"),
        py::arg("grad_key_bias") = py::none(), py::arg("scratch"), py::arg("stream") = 0);
}

}  // namespace pyrec
