#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

// What both passes read: users (num_users, dim), pool (num_items, dim), offset (num_items,), and together own
// (num_users,) and ids (num_items,).
struct xent_arrays {
  tensor users;
  place at;
  tensor pool;
  std::optional<tensor> offset;
  std::optional<tensor> own;
  std::optional<tensor> ids;

  xent_arrays(const py::object& users_source, const py::object& pool_source, const py::object& offset_source,
              const py::object& own_source, const py::object& ids_source)
      : users(users_source, "users"),
        at(place_of(users)),
        pool(pool_source, "pool"),
        offset(optional_tensor(offset_source, "offset")),
        own(optional_input(own_source, "own", dtype::int64, {any_size}, at)),
        ids(optional_input(ids_source, "ids", dtype::int64, {any_size}, at)) {
    if (own.has_value() != ids.has_value()) throw data_error("own and ids go together: pass both or none");
  }

  // Checked, but for what a device takes as it is.
  template <class T>
  xent_input<T> checked(const xent_kernels& kernels) const {
    constexpr dtype real = dtype_of<T>::value;
    require(users, real, {any_size, any_size}, at);
    xent_input<T> in{};
    in.num_users = users.size(0);
    in.dim = users.size(1);
    require(pool, real, {any_size, in.dim}, at);
    in.num_items = pool.size(0);
    check_range("users.shape[0]", in.num_users, 0, INT32_MAX);
    check_range("users.shape[1]", in.dim, 1, max_xent_dim);
    check_range("pool.shape[0]", in.num_items, 0, INT32_MAX);
    if (offset) require(*offset, real, {in.num_items}, at);
    if (own) require(*own, dtype::int64, {in.num_users}, at);
    if (ids) require(*ids, dtype::int64, {in.num_items}, at);
    in.users = users.data<const T>();
    in.pool = pool.data<const T>();
    in.offset = pointer<T>(offset);
    in.has_offset = offset.has_value();
    in.own = pointer<int64_t>(own);
    in.ids = pointer<int64_t>(ids);
    if (kernels.checks_input || !own) return in;
    check_bounds(*ids, "possible ids", INT32_MAX);
    for (int64_t u = 0; u < in.num_users; ++u) {
      if (in.own[u] < -1 || in.own[u] >= INT32_MAX) {
        fail_index("own", u, in.own[u], "an id is below 2^31 - 1, and -1 stands for none");
      }
    }
    return in;
  }
};

// A device needs no scratch of workers.
int checked_workers(int64_t num_workers) {
  check_range("num_workers", num_workers, 1, INT32_MAX);
  return static_cast<int>(num_workers);
}

int64_t xent_scratch(const py::object& users_source, int64_t num_items, bool has_offset, bool backward,
                     int64_t num_workers) {
  const tensor users(users_source, "users");
  const kernels_on kernels(users.where());
  check_range("num_items", num_items, 0, INT32_MAX);
  int64_t bytes = 0;
  dispatch_real(users, [&]<class T>() {
    require(users, dtype_of<T>::value, {any_size, any_size}, place_of(users));
    xent_input<T> in{};
    in.num_users = users.size(0);
    in.num_items = num_items;
    in.dim = users.size(1);
    check_range("users.shape[1]", in.dim, 1, max_xent_dim);
    in.has_offset = has_offset;
    bytes = kernels->xent.scratch(in, backward, checked_workers(num_workers));
  });
  return bytes;
}

// log_total, largest, total: (num_users,); mean as users, or None.
void xent(const py::object& users, const py::object& pool, const py::object& offset, const py::object& own,
          const py::object& ids, const py::object& log_total_source, const py::object& largest_source,
          const py::object& total_source, const py::object& mean_source, const py::object& scratch_source,
          int64_t num_workers, int64_t stream) {
  const xent_arrays arrays(users, pool, offset, own, ids);
  const place& at = arrays.at;
  dispatch_real(arrays.users, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    const kernels_on kernels(at.where);
    const xent_input<T> in = arrays.template checked<T>(kernels->xent);
    const tensor log_total = output(log_total_source, "log_total", real, {in.num_users}, at);
    const tensor largest = output(largest_source, "largest", real, {in.num_users}, at);
    const tensor total = output(total_source, "total", real, {in.num_users}, at);
    const auto mean = optional_output(mean_source, "mean", real, {in.num_users, in.dim}, at);
    const int workers = checked_workers(num_workers);
    const int64_t bytes = kernels->xent.scratch(in, false, workers);
    const tensor scratch = output(scratch_source, "scratch", dtype::uint8, {bytes}, at);
    const xent_args<T> args{.input = in,
                            .log_total = log_total.data<T>(),
                            .largest = largest.data<T>(),
                            .total = total.data<T>(),
                            .mean = mutable_pointer<T>(mean),
                            .scratch = scratch.data<void>(),
                            .num_workers = workers,
                            .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    kernels->xent.log_total(args);
  });
}

// largest, rate: (num_users,); grad_pool as pool; grad_offset: (num_items,) or None.
void xent_grad(const py::object& users, const py::object& pool, const py::object& offset,
               const py::object& own, const py::object& ids, const py::object& largest_source,
               const py::object& rate_source, const py::object& grad_pool_source,
               const py::object& grad_offset_source, const py::object& scratch_source, int64_t num_workers,
               int64_t stream) {
  const xent_arrays arrays(users, pool, offset, own, ids);
  const place& at = arrays.at;
  dispatch_real(arrays.users, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    const kernels_on kernels(at.where);
    const xent_input<T> in = arrays.template checked<T>(kernels->xent);
    const tensor largest = input(largest_source, "largest", real, {in.num_users}, at);
    const tensor rate = input(rate_source, "rate", real, {in.num_users}, at);
    const tensor grad_pool = output(grad_pool_source, "grad_pool", real, {in.num_items, in.dim}, at);
    const auto grad_offset = optional_output(grad_offset_source, "grad_offset", real, {in.num_items}, at);
    const int workers = checked_workers(num_workers);
    const int64_t bytes = kernels->xent.scratch(in, true, workers);
    const tensor scratch = output(scratch_source, "scratch", dtype::uint8, {bytes}, at);
    const xent_grad_args<T> args{.input = in,
                                 .largest = largest.data<const T>(),
                                 .rate = rate.data<const T>(),
                                 .grad_pool = grad_pool.data<T>(),
                                 .grad_offset = mutable_pointer<T>(grad_offset),
                                 .scratch = scratch.data<void>(),
                                 .num_workers = workers,
                                 .stream = stream_of(stream)};
    const py::gil_scoped_release unlocked;
    kernels->xent.grad(args);
  });
}

}  // namespace

void bind_xent(py::module_& m) {
  using py::arg;
  const auto stream = arg("stream") = 0;
  m.def("xent_scratch", &xent_scratch, arg("users"), arg("num_items"), arg("has_offset"), arg("backward"),
        arg("num_workers"));
  m.def("xent", &xent, arg("users"), arg("pool"), arg("offset"), arg("own"), arg("ids"), arg("log_total"),
        arg("largest"), arg("total"), arg("mean"), arg("scratch"), arg("num_workers"), stream);
  m.def("xent_grad", &xent_grad, arg("users"), arg("pool"), arg("offset"), arg("own"), arg("ids"),
        arg("largest"), arg("rate"), arg("grad_pool"), arg("grad_offset"), arg("scratch"), arg("num_workers"),
        stream);
}

}  // namespace pyrec
