#include "decayed/decayed.hpp"

#include <cmath>
#include <limits>

#include "common/check.hpp"

namespace pyrec {

namespace {

constexpr double never = -std::numeric_limits<double>::infinity();

// The last time of any key.
double check_last(const tensor& last) {
  const auto* times = last.data<const double>();
  double latest = never;
  for (int64_t key = 0; key < last.size(0); ++key) {
    if (std::isnan(times[key]) || times[key] == -never) {
      throw data_error("last[" + std::to_string(key) + "] = " + std::to_string(times[key]) +
                       ", but it is a time, or -inf where nothing happened");
    }
    latest = times[key] > latest ? times[key] : latest;
  }
  return latest;
}

void check_events(const decayed_args& a, double latest) {
  double before = latest;
  for (int64_t e = 0; e < a.num_events; ++e) {
    check_bound("keys", "keys", e, a.keys[e], a.num_keys);
    const double time = a.times[e];
    if (std::isfinite(time) && time >= before) {
      before = time;
      continue;
    }
    const std::string at = "times[" + std::to_string(e) + "] = " + std::to_string(time);
    if (!std::isfinite(time)) throw data_error(at + ", but a time is a finite number");
    throw data_error(at + " lies before " + std::to_string(before) +
                     (e == 0 ? ", the last time of the state" : ", the time before it") +
                     "; give events in ascending time");
  }
}

void check_rates(const decayed_args& a) {
  check_range("rates.shape[0]", a.num_rates, 1, most_rates);
  for (int64_t f = 0; f < a.num_rates; ++f) {
    if (std::isfinite(a.rates[f]) && a.rates[f] >= 0) continue;
    throw config_error("rates[" + std::to_string(f) + "] = " + std::to_string(a.rates[f]) +
                       ", but it is 1 over a half-life, finite and at least 0");
  }
}

void check_all(const decayed_args& a, const tensor& last) {
  const py::gil_scoped_release unlocked;
  check_rates(a);
  const double latest = check_last(last);
  check_finite("values", a.values, a.num_keys * a.num_amounts * a.num_rates, a.num_amounts * a.num_rates);
  check_finite("pending", a.pending, a.num_keys * a.num_amounts, a.num_amounts);
  check_finite("amounts", a.amounts, a.num_events * a.num_amounts, a.num_amounts);
  check_events(a, latest);
}

// keys, times: (num_events,); amounts: (num_events, num_amounts); rates: (num_rates,); values, pending and last of
// each key are what they are after the last event when it returns.
void decayed(const py::object& keys_source, const py::object& times_source, const py::object& amounts_source,
             const py::object& rates_source, const py::object& values_source,
             const py::object& pending_source, const py::object& last_source, const py::object& out_source) {
  const tensor keys = input(keys_source, "keys", dtype::int32, {any_size});
  const int64_t num_events = keys.size(0);
  const tensor times = input(times_source, "times", dtype::float64, {num_events});
  const tensor amounts = input(amounts_source, "amounts", dtype::float32, {num_events, any_size});
  const tensor rates = input(rates_source, "rates", dtype::float64, {any_size});
  const int64_t num_amounts = amounts.size(1);
  const int64_t num_rates = rates.size(0);
  check_range("amounts.shape[1]", num_amounts, 1, INT32_MAX);
  const tensor last = output(last_source, "last", dtype::float64, {any_size});
  const int64_t num_keys = last.size(0);
  const tensor values = output(values_source, "values", dtype::float64, {num_keys, num_amounts, num_rates});
  const tensor pending = output(pending_source, "pending", dtype::float64, {num_keys, num_amounts});
  const tensor out = output(out_source, "out", dtype::float32, {num_events, num_amounts, num_rates});
  const decayed_args args{.keys = keys.data<const int32_t>(),
                          .times = times.data<const double>(),
                          .amounts = amounts.data<const float>(),
                          .rates = rates.data<const double>(),
                          .num_events = num_events,
                          .num_amounts = num_amounts,
                          .num_rates = num_rates,
                          .num_keys = num_keys,
                          .values = values.data<double>(),
                          .pending = pending.data<double>(),
                          .last = last.data<double>(),
                          .out = out.data<float>()};
  check_all(args, last);
  const py::gil_scoped_release unlocked;
  decayed_counts(args);
}

}  // namespace

void bind_decayed(py::module_& m) {
  m.def("decayed_counts", &decayed, py::arg("keys"), py::arg("times"), py::arg("amounts"), py::arg("rates"),
        py::kw_only(), py::arg("values"), py::arg("pending"), py::arg("last"), py::arg("out"));
}

}  // namespace pyrec
