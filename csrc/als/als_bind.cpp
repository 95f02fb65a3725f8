#include "als/als.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

int64_t padded(int64_t dim) { return rounded_up(dim, als_padding); }

void check_columns(int64_t dim) { check_range("x.shape[1]", dim, 1, als_most_columns); }

int64_t checked_block(int64_t block, int64_t dim) {
  check_range("block", block, 1, INT32_MAX);
  if (block >= dim) return dim;
  if (block % als_padding == 0) return block;
  throw config_error("block = " + std::to_string(block) + " must be a multiple of " +
                     std::to_string(als_padding) + ", or at least the " + std::to_string(dim) +
                     " columns that are solved for");
}

// Of the CPU, where contents are looked at: rows of entries, and what they name.
void check_entries(const tensor& indptr, const tensor& indices, int64_t num_rows, int64_t num_fixed) {
  check_indptr("indptr", indptr.data<const int64_t>(), num_rows, indices.size(0));
  const int32_t* values = indices.data<const int32_t>();
  for (int64_t k = 0; k < indices.size(0); ++k) {
    if (values[k] < 0 || values[k] >= num_fixed) {
      fail_index("indices", k, values[k], "there are " + std::to_string(num_fixed) + " rows of vectors");
    }
  }
}

// Bytes of scratch that each worker needs for rows of `x` in blocks of as many columns.
int64_t als_scratch(const py::object& x_source, int64_t block) {
  const tensor x(x_source, "x");
  const kernels_on kernels(x.where());
  int64_t bytes = 0;
  dispatch_real(x, [&]<class T>() {
    require(x, dtype_of<T>::value, {any_size, any_size}, place_of(x));
    check_columns(x.size(1));
    als_args<T> args{};
    args.num_rows = x.size(0);
    args.dim = x.size(1);
    args.stride = padded(args.dim);
    args.block = checked_block(block, args.dim);
    bytes = kernels->als.scratch(args);
  });
  return bytes;
}

// x: (num_rows, dim); vectors: (num_fixed, stride) and gram: (dim, stride), with stride = dim rounded up to 16 and
// zeros behind dim; indptr: (num_rows + 1,); indices, weight, target, error: (num_entries,); linear, penalty: (dim,);
// offset: (num_fixed,); scale, reg, loss: (num_rows,); status: (2,);
// scratch: (workers, bytes).
void als(const py::object& x_source, const py::object& vectors_source, const py::object& indptr_source,
         const py::object& indices_source, const py::object& weight_source, const py::object& target_source,
         const py::object& reg_source, int64_t block, const py::object& gram_source,
         const py::object& linear_source, const py::object& offset_source, const py::object& scale_source,
         const py::object& penalty_source, const py::object& error_source, const py::object& loss_source,
         const py::object& status_source, const py::object& scratch_source, int64_t stream) {
  const tensor x(x_source, "x");
  const place at = place_of(x);
  dispatch_real(x, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    require_output(x, real, {any_size, any_size}, at);
    check_columns(x.size(1));
    als_args<T> args{};
    args.num_rows = x.size(0);
    args.dim = x.size(1);
    args.stride = padded(args.dim);
    args.block = checked_block(block, args.dim);
    const tensor vectors = input(vectors_source, "vectors", real, {any_size, args.stride}, at);
    args.num_fixed = vectors.size(0);
    const tensor indptr = input(indptr_source, "indptr", dtype::int64, {args.num_rows + 1}, at);
    const tensor indices = input(indices_source, "indices", dtype::int32, {any_size}, at);
    args.num_entries = indices.size(0);
    const tensor weight = input(weight_source, "weight", real, {args.num_entries}, at);
    const tensor target = input(target_source, "target", real, {args.num_entries}, at);
    const tensor reg = input(reg_source, "reg", real, {args.num_rows}, at);
    const auto gram = optional_input(gram_source, "gram", real, {args.dim, args.stride}, at);
    const auto linear = optional_input(linear_source, "linear", real, {args.dim}, at);
    const auto offset = optional_input(offset_source, "offset", real, {args.num_fixed}, at);
    const auto scale = optional_input(scale_source, "scale", real, {args.num_rows}, at);
    const auto penalty = optional_input(penalty_source, "penalty", real, {args.dim}, at);
    const tensor error = output(error_source, "error", real, {args.num_entries}, at);
    const tensor loss = output(loss_source, "loss", dtype::float64, {args.num_rows}, at);
    const tensor status = output(status_source, "status", dtype::int64, {2}, at);
    const kernels_on kernels(at.where);
    if (!kernels->als.checks_input) check_entries(indptr, indices, args.num_rows, args.num_fixed);
    const int64_t bytes = kernels->als.scratch(args);
    const tensor scratch = output(scratch_source, "scratch", dtype::uint8, {any_size, bytes}, at);
    check_range("scratch.shape[0]", scratch.size(0), 1, INT32_MAX);
    args.x = x.data<T>();
    args.vectors = vectors.data<const T>();
    args.offset = pointer<T>(offset);
    args.indptr = indptr.data<const int64_t>();
    args.indices = indices.data<const int32_t>();
    args.weight = weight.data<const T>();
    args.target = target.data<const T>();
    args.gram = pointer<T>(gram);
    args.linear = pointer<T>(linear);
    args.scale = pointer<T>(scale);
    args.reg = reg.data<const T>();
    args.penalty = pointer<T>(penalty);
    args.error = error.data<T>();
    args.loss = loss.data<double>();
    args.status = status.data<int64_t>();
    args.scratch = scratch.data<void>();
    args.num_workers = scratch.size(0);
    args.stream = stream_of(stream);
    const py::gil_scoped_release unlocked;
    kernels->als.solve(args);
  });
}

// Bytes of scratch that `gram` needs for such vectors.
int64_t gram_scratch(const py::object& vectors_source) {
  const tensor vectors(vectors_source, "vectors");
  int64_t bytes = 0;
  dispatch_real(vectors, [&]<class T>() {
    require(vectors, dtype_of<T>::value, {any_size, any_size}, place_of(vectors));
    const int64_t stride = padded(vectors.size(1));
    bytes = gram_pieces(vectors.size(0), stride) * gram_piece_bytes<T>(stride);
  });
  return bytes;
}

// vectors: (num_rows, stride), zeros from dim on; weight: (num_rows,); out: (dim, dim).
void gram(const py::object& vectors_source, const py::object& weight_source, const py::object& out_source,
          const py::object& scratch_source, int64_t stream) {
  const tensor vectors(vectors_source, "vectors");
  const place at = place_of(vectors);
  dispatch_real(vectors, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    const tensor out(out_source, "out");
    require_output(out, dtype::float64, {any_size, any_size}, at);
    const int64_t dim = out.size(0);
    check_range("out.shape[0]", dim, 1, als_most_columns);
    require_output(out, dtype::float64, {dim, dim}, at);
    require(vectors, real, {any_size, padded(dim)}, at);
    const auto weight = optional_input(weight_source, "weight", real, {vectors.size(0)}, at);
    const int64_t bytes = gram_pieces(vectors.size(0), padded(dim)) * gram_piece_bytes<T>(padded(dim));
    const tensor scratch = output(scratch_source, "scratch", dtype::uint8, {bytes}, at);
    const gram_args<T> args{.vectors = vectors.data<const T>(),
                            .weight = pointer<T>(weight),
                            .num_rows = vectors.size(0),
                            .dim = dim,
                            .stride = padded(dim),
                            .out = out.data<double>(),
                            .scratch = scratch.data<void>(),
                            .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    const kernels_on kernels(at.where);
    kernels->als.gram(args);
  });
}

}  // namespace

void bind_als(py::module_& m) {
  m.def("als_scratch", &als_scratch, py::arg("x"), py::arg("block"));
  m.def("als", &als, py::arg("x"), py::arg("vectors"), py::arg("indptr"), py::arg("indices"),
        py::arg("weight"), py::arg("target"), py::arg("reg"), py::arg("block"), py::kw_only(),
        py::arg("gram") = py::none(), py::arg("linear") = py::none(), py::arg("offset") = py::none(),
        py::arg("scale") = py::none(), py::arg("penalty") = py::none(), py::arg("error"), py::arg("loss"),
        py::arg("status"), py::arg("scratch"), py::arg("stream") = 0);
  m.def("gram_scratch", &gram_scratch, py::arg("vectors"));
  m.def("gram", &gram, py::arg("vectors"), py::kw_only(), py::arg("weight") = py::none(), py::arg("out"),
        py::arg("scratch"), py::arg("stream") = 0);
}

}  // namespace pyrec
