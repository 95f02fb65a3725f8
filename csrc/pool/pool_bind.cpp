#include <array>

#include "common/dispatch.hpp"
#include "common/parallel.hpp"
#include "cuda/cuda.hpp"
#include "pool/pool.hpp"

namespace pyrec {

namespace {

constexpr int64_t most_columns = 65536;  // of x and of the hidden layer
constexpr int64_t most_heads = 4096;

// What both passes read, checked.
template <class T>
class segments_of_rows {
 public:
  segments_of_rows(const tensor& x, const py::object& indptr, const py::object& index,
                   const py::object& weight, const py::object& bias, const py::object& vector,
                   int64_t given_heads)
      : at_(place_of(x)),
        kernels_(at_.where),
        dim_(columns_of(x, at_)),
        indptr_(pyrec::input(indptr, "indptr", dtype::int64, {any_size}, at_)),
        index_(optional_input(index, "index", dtype::int64, {any_size}, at_)),
        weight_(optional_in(weight, "weight", {any_size, dim_})),
        hidden_(weight_ ? weight_->size(0) : 0),
        bias_(weight_ ? optional_in(bias, "bias", {hidden_}) : std::nullopt),
        vector_(optional_in(vector, "vector", {any_size, weight_ ? hidden_ : dim_})) {
    in_.x = x.data<const T>();
    in_.num_rows = x.size(0);
    in_.dim = dim_;
    check_range("x.shape[0]", in_.num_rows, 0, INT32_MAX);
    if (indptr_.size(0) == 0) throw data_error("indptr is empty, but row pointers start with 0");
    in_.indptr = indptr_.data<const int64_t>();
    in_.num_segments = indptr_.size(0) - 1;
    static const int64_t no_slot = 0;  // an empty index is one all the same
    in_.index = index_ && index_->numel() == 0 ? &no_slot : pointer<int64_t>(index_);
    in_.num_slots = index_ ? index_->size(0) : in_.num_rows;
    check_range("index.shape[0]", in_.num_slots, 0, INT32_MAX);
    check_range("segments of indptr", in_.num_segments, 0, INT32_MAX);
    take_parameters(given_heads);
    if (kernels().checks_input) return;
    check_indptr("indptr", in_.indptr, in_.num_segments, in_.num_slots);
    if (index_) check_bounds(*index_, "rows of x", in_.num_rows);
  }
  segments_of_rows(const segments_of_rows&) = delete;
  segments_of_rows& operator=(const segments_of_rows&) = delete;

  using shape = std::initializer_list<int64_t>;
  tensor in(const py::handle& source, const char* name, shape extents) const {
    return pyrec::input(source, name, real, extents, at_);
  }
  tensor out(const py::handle& source, const char* name, shape extents) const {
    return output(source, name, real, extents, at_);
  }
  std::optional<tensor> optional_in(const py::handle& source, const char* name, shape extents) const {
    return optional_input(source, name, real, extents, at_);
  }
  std::optional<tensor> optional_out(const py::handle& source, const char* name, shape extents) const {
    return optional_output(source, name, real, extents, at_);
  }
  tensor scratch(const py::handle& source, bool backward) const {
    tensor array = out(source, "scratch", {any_size});
    check_range("scratch.shape[0]", array.size(0), kernels().scratch(in_, backward, num_threads()),
                INT64_MAX);
    return array;
  }

  const pool_input<T>& input() const { return in_; }
  const pool_kernels& kernels() const { return kernels_->pool; }

 private:
  static constexpr dtype real = dtype_of<T>::value;

  static int64_t columns_of(const tensor& x, const place& at) {
    require(x, real, {any_size, any_size}, at);
    check_range("x.shape[1]", x.size(1), 1, most_columns);
    return x.size(1);
  }

  void take_parameters(int64_t given_heads) {
    if (weight_) check_range("weight.shape[0]", hidden_, 1, most_columns);
    if (weight_ && !(bias_ && vector_)) throw data_error("weight is given, but not both of bias and vector");
    score_weights<T>& w = in_.attention;
    w.hidden = hidden_;
    w.heads = vector_ ? vector_->size(0) : given_heads;
    check_range(vector_ ? "vector.shape[0]" : "scores.shape[1]", w.heads, 1, most_heads);
    w.weight = pointer<T>(weight_);
    w.bias = pointer<T>(bias_);
    w.vector = pointer<T>(vector_);
    if (vector_ && !kernels().scores_rows) {
      throw data_error("vector is on a device whose rows are scored before; pass their scores");
    }
  }

  place at_;
  kernels_on kernels_;
  int64_t dim_;
  tensor indptr_;
  std::optional<tensor> index_;
  std::optional<tensor> weight_;
  int64_t hidden_;
  std::optional<tensor> bias_;
  std::optional<tensor> vector_;
  pool_input<T> in_{};
};

// Columns of scores or alpha; of another shape 1, and the array is refused later.
int64_t heads_of(const tensor& array) { return array.ndim() == 2 ? array.size(1) : 1; }

void pool(const py::object& x_source, const py::object& indptr, const py::object& index,
          const py::object& weight, const py::object& bias, const py::object& vector,
          const py::object& offset_source, const py::object& scores_source, const py::object& out_source,
          const py::object& alpha_source, const py::object& scratch_source, int64_t stream) {
  const tensor x(x_source, "x");
  const tensor scores(scores_source, "scores");
  dispatch_real(x, [&]<class T>() {
    const segments_of_rows<T> rows(x, indptr, index, weight, bias, vector, heads_of(scores));
    const pool_input<T>& in = rows.input();
    const int64_t heads = in.attention.heads;
    const auto offset = rows.optional_in(offset_source, "offset", {in.num_slots, heads});
    require_output(scores, dtype_of<T>::value, {in.num_rows, heads}, place_of(x));
    const tensor out = rows.out(out_source, "out", {in.num_segments, heads, in.dim});
    const tensor alpha = rows.out(alpha_source, "alpha", {in.num_slots, heads});
    const tensor scratch = rows.scratch(scratch_source, false);
    const pool_args<T> args{.input = in,
                            .offset = pointer<T>(offset),
                            .scores = scores.data<T>(),
                            .out = out.data<T>(),
                            .alpha = alpha.data<T>(),
                            .scratch = scratch.data<T>(),
                            .num_workers = num_threads(),
                            .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    rows.kernels().pool(args);
  });
}

// grad_vector is null, or goes with grad_weight and grad_bias where there is a weight.
void pool_grad(const py::object& x_source, const py::object& indptr, const py::object& index,
               const py::object& weight, const py::object& bias, const py::object& vector,
               const py::object& alpha_source, const py::object& grad_source,
               const py::object& grad_of_alpha_source, const py::object& grad_x_source,
               const py::object& grad_weight_source, const py::object& grad_bias_source,
               const py::object& grad_vector_source, const py::object& grad_scores_source,
               const py::object& grad_offset_source, const py::object& scratch_source, int64_t stream) {
  const tensor x(x_source, "x");
  const tensor alpha(alpha_source, "alpha");
  dispatch_real(x, [&]<class T>() {
    const segments_of_rows<T> rows(x, indptr, index, weight, bias, vector, heads_of(alpha));
    const pool_input<T>& in = rows.input();
    const int64_t heads = in.attention.heads;
    require(alpha, dtype_of<T>::value, {in.num_slots, heads}, place_of(x));
    const tensor grad = rows.in(grad_source, "grad", {in.num_segments, heads, in.dim});
    const auto grad_of_alpha = rows.optional_in(grad_of_alpha_source, "grad_of_alpha", {in.num_slots, heads});
    const auto grad_x = rows.optional_out(grad_x_source, "grad_x", {in.num_rows, in.dim});
    const int64_t hidden = in.attention.hidden;
    const auto grad_weight = rows.optional_out(grad_weight_source, "grad_weight", {hidden, in.dim});
    const auto grad_bias = rows.optional_out(grad_bias_source, "grad_bias", {hidden});
    const auto grad_vector =
        rows.optional_out(grad_vector_source, "grad_vector", {heads, hidden > 0 ? hidden : in.dim});
    const auto grad_scores = rows.optional_out(grad_scores_source, "grad_scores", {in.num_rows, heads});
    const bool hidden_grads = hidden > 0 && grad_vector.has_value();
    if (grad_weight.has_value() != hidden_grads || grad_bias.has_value() != hidden_grads) {
      throw data_error("grad_weight, grad_bias and grad_vector go together: pass all or none");
    }
    if (grad_vector.has_value() && in.attention.vector == nullptr) {
      throw data_error("grad_vector is given, but vector is not");
    }
    const tensor grad_offset = rows.out(grad_offset_source, "grad_offset", {in.num_slots, heads});
    const tensor scratch = rows.scratch(scratch_source, true);
    const pool_grad_args<T> args{.input = in,
                                 .alpha = alpha.data<const T>(),
                                 .grad = grad.data<const T>(),
                                 .grad_of_alpha = pointer<T>(grad_of_alpha),
                                 .grad_x = mutable_pointer<T>(grad_x),
                                 .grad_weight = mutable_pointer<T>(grad_weight),
                                 .grad_bias = mutable_pointer<T>(grad_bias),
                                 .grad_vector = mutable_pointer<T>(grad_vector),
                                 .grad_scores = mutable_pointer<T>(grad_scores),
                                 .grad_offset = grad_offset.data<T>(),
                                 .scratch = scratch.data<T>(),
                                 .num_workers = num_threads(),
                                 .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    rows.kernels().pool_grad(args);
  });
}

// Numbers of scratch that a call from this thread needs; hidden: 0 without a weight.
int64_t pool_scratch(const py::object& x_source, int64_t num_slots, int64_t hidden, int64_t heads,
                     bool indexed, bool backward) {
  const tensor x(x_source, "x");
  int64_t size = 0;
  dispatch_real(x, [&]<class T>() {
    require(x, dtype_of<T>::value, {any_size, any_size}, place_of(x));
    check_range("x.shape[1]", x.size(1), 1, most_columns);
    check_range("num_slots", num_slots, 0, INT32_MAX);
    check_range("weight.shape[0]", hidden, 0, most_columns);
    check_range("vector.shape[0]", heads, 1, most_heads);
    const kernels_on kernels(x.where());
    static const int64_t any_index = 0;
    pool_input<T> in{};
    in.num_rows = x.size(0);
    in.dim = x.size(1);
    in.num_slots = num_slots;
    in.index = indexed ? &any_index : nullptr;
    in.attention.hidden = hidden;
    in.attention.heads = heads;
    size = kernels->pool.scratch(in, backward, num_threads());
  });
  return size;
}

bool scores_rows(const py::object& x_source) {
  const tensor x(x_source, "x");
  return kernels_on(x.where())->pool.scores_rows;
}

}  // namespace

void bind_pool(py::module_& m) {
  using py::arg;
  const auto stream = arg("stream") = 0;
  m.def("pool_scores_rows", &scores_rows, arg("x"));
  m.def("pool_scratch", &pool_scratch, arg("x"), arg("num_slots"), arg("hidden"), arg("heads"),
        arg("indexed"), arg("backward"));
  m.def("pool", &pool, arg("x"), arg("indptr"), arg("index"), arg("weight"), arg("bias"), arg("vector"),
        arg("offset"), arg("scores"), arg("out"), arg("alpha"), arg("scratch"), stream);
  m.def("pool_grad", &pool_grad, arg("x"), arg("indptr"), arg("index"), arg("weight"), arg("bias"),
        arg("vector"), arg("alpha"), arg("grad"), arg("grad_of_alpha"), arg("grad_x"), arg("grad_weight"),
        arg("grad_bias"), arg("grad_vector"), arg("grad_scores"), arg("grad_offset"), arg("scratch"), stream);
}

}  // namespace pyrec
