#include "common/check.hpp"
#include "common/dispatch.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

namespace {

// x, out: (count,); seed: (1,) int64.
void drop(const py::object& x_source, double rate, const py::object& seed_source, uint32_t substream,
          const py::object& out_source, int64_t stream) {
  const tensor x(x_source, "x");
  const place at = place_of(x);
  if (!(rate >= 0 && rate <= most_dropped)) {
    throw config_error("rate = " + std::to_string(rate) + ", but at least 0 and at most 1 - 2^-32 is needed");
  }
  dispatch_real(x, [&]<class T>() {
    constexpr dtype real = dtype_of<T>::value;
    require(x, real, {any_size}, at);
    const tensor seed = input(seed_source, "seed", dtype::int64, {1}, at);
    const tensor out = output(out_source, "out", real, {x.size(0)}, at);
    const drop_args<T> args{.x = x.data<const T>(),
                            .count = x.size(0),
                            .seed = seed.data<const int64_t>(),
                            .substream = substream,
                            .threshold = drop_threshold(rate),
                            .scale = static_cast<T>(1.0 / (1.0 - rate)),
                            .out = out.data<T>(),
                            .stream = stream_of(stream)};
    const kernels_on kernels(at.where);
    const py::gil_scoped_release unlocked;
    kernels->drop.run(args);
  });
}

}  // namespace

void bind_drop(py::module_& m) {
  m.def("drop", &drop, py::arg("x"), py::arg("rate"), py::arg("seed"), py::arg("substream"), py::arg("out"),
        py::arg("stream") = 0);
}

}  // namespace pyrec
