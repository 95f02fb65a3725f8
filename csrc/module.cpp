#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "common/caches.hpp"
#include "common/check.hpp"
#include "common/huge_pages.hpp"
#include "common/parallel.hpp"
#include "cuda/cuda.hpp"

namespace pyrec {

void bind_graph(py::module_& m);
void bind_propagate(py::module_& m);
void bind_rows(py::module_& m);
void bind_combine(py::module_& m);
void bind_bpr(py::module_& m);
void bind_pointwise(py::module_& m);
void bind_agreement(py::module_& m);
void bind_als(py::module_& m);
void bind_attend(py::module_& m);
void bind_debias(py::module_& m);
void bind_pool(py::module_& m);
void bind_candidate(py::module_& m);
void bind_product(py::module_& m);
void bind_drop(py::module_& m);
void bind_topk(py::module_& m);
void bind_xent(py::module_& m);
void bind_metrics(py::module_& m);
void bind_impressions(py::module_& m);
void bind_neighbors(py::module_& m);
void bind_sample(py::module_& m);
void bind_distinct(py::module_& m);
void bind_decayed(py::module_& m);
#ifdef PYREC_CUDA_ON_CPU
void bind_emulator(py::module_& m);
#endif

namespace {

py::dict cuda_info() {
  const cuda_state state = find_cuda();
  py::dict info;
  info["architectures"] = state.architectures;
  info["driver"] = state.driver;
  info["devices"] = state.devices;
  return info;
}

py::dict cache_info() {
  const known_caches& known = caches();
  py::dict info;
  info["first"] = known.sizes.first;
  info["second"] = known.sizes.second;
  info["last"] = known.sizes.last;
  info["source"] = known.source;
  return info;
}

void bind_runtime(py::module_& m) {
  m.def("isa", [] { return std::string(kernels().isa); }, "The instruction set in use.");
  m.def("isa_levels", &isa_levels, "The instruction sets this machine can run, narrowest first.");
  m.def("use_isa", &use_isa, py::arg("name"), "Switches the instruction set (tests and benchmarks).");
  m.def("use_huge_pages", &use_huge_pages, py::arg("address"), py::arg("num_bytes"),
        "Asks the system for huge pages behind memory that is not touched yet.");
  m.def("cache_info", &cache_info,
        "Bytes of the caches that the kernels reckon with, and where they are from.");
  m.def(
      "use_caches", [](int64_t first, int64_t second, int64_t last) { use_caches({first, second, last}); },
      py::arg("first"), py::arg("second"), py::arg("last"),
      "Reckons with other caches (tests and benchmarks).");
  m.def("cuda_info", &cuda_info, "Architectures built for, the driver's version, the devices.");
  m.def("num_threads", &num_threads, "Threads that a kernel called from here would use.");
}

}  // namespace

PYBIND11_MODULE(PYREC_MODULE, m) {
  bind_errors(m);
  bind_runtime(m);
  bind_graph(m);
  bind_propagate(m);
  bind_rows(m);
  bind_combine(m);
  bind_bpr(m);
  bind_pointwise(m);
  bind_agreement(m);
  bind_als(m);
  bind_attend(m);
  bind_debias(m);
  bind_pool(m);
  bind_candidate(m);
  bind_product(m);
  bind_drop(m);
  bind_topk(m);
  bind_xent(m);
  bind_metrics(m);
  bind_impressions(m);
  bind_neighbors(m);
  bind_sample(m);
  bind_distinct(m);
  bind_decayed(m);
#ifdef PYREC_CUDA_ON_CPU
  bind_emulator(m);
#endif
}

}  // namespace pyrec
