#include "common/check.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

namespace pyrec {

namespace {

std::string expected_text(std::initializer_list<int64_t> shape) {
  std::string text = "(";
  for (const int64_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += extent == any_size ? "any" : std::to_string(extent);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

bool shape_fits(const tensor& array, std::initializer_list<int64_t> shape) {
  if (array.ndim() != static_cast<int64_t>(shape.size())) return false;
  int64_t axis = 0;
  for (const int64_t extent : shape) {
    if (extent != any_size && array.size(axis) != extent) return false;
    ++axis;
  }
  return true;
}

}  // namespace

void require_place(const tensor& array, const place& at) {
  if (array.where() == at.where) return;
  const std::string name = array.name();
  if (at.argument == nullptr) throw data_error(name + " is not on the CPU; call .cpu() first");
  const std::string target = device_text(at.where);
  throw data_error(name + " is on " + device_text(array.where()) + ", but " + at.argument + " is on " +
                   target + "; move it with .to(\"" + target + "\")");
}

void require(const tensor& array, dtype type, std::initializer_list<int64_t> shape, const place& at) {
  const std::string name = array.name();
  require_place(array, at);
  if (array.type() != type) {
    throw data_error(name + " has dtype " + dtype_name(array.type()) + ", but " + dtype_name(type) +
                     " is needed");
  }
  if (!shape_fits(array, shape)) {
    throw data_error(name + " has shape " + array.shape_text() + ", but " + expected_text(shape) +
                     " is needed");
  }
  if (!array.contiguous()) throw data_error(name + " is not contiguous; call .contiguous() first");
}

void require_output(const tensor& array, dtype type, std::initializer_list<int64_t> shape, const place& at) {
  require(array, type, shape, at);
  if (!array.writable()) throw data_error(std::string(array.name()) + " is read-only; pass a writable array");
}

void bind_errors(py::module_&) {
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    const auto raise = [](const char* type, const std::exception& error) {
      PyErr_SetString(py::module_::import("pyrec.errors").attr(type).ptr(), error.what());
    };
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const data_error& error) {
      raise("DataError", error);
    } catch (const config_error& error) {
      raise("ConfigError", error);
    } catch (const cuda_error& error) {
      raise("CudaError", error);
    }
  });
}

tensor input(const py::handle& source, const char* name, dtype type, std::initializer_list<int64_t> shape,
             const place& at) {
  tensor array(source, name);
  require(array, type, shape, at);
  return array;
}

tensor output(const py::handle& source, const char* name, dtype type, std::initializer_list<int64_t> shape,
              const place& at) {
  tensor array(source, name);
  require_output(array, type, shape, at);
  return array;
}

std::optional<tensor> optional_tensor(const py::handle& source, const char* name) {
  if (source.is_none()) return std::nullopt;
  return std::optional<tensor>(std::in_place, source, name);
}

std::optional<tensor> optional_input(const py::handle& source, const char* name, dtype type,
                                     std::initializer_list<int64_t> shape, const place& at) {
  if (source.is_none()) return std::nullopt;
  return input(source, name, type, shape, at);
}

std::optional<tensor> optional_output(const py::handle& source, const char* name, dtype type,
                                      std::initializer_list<int64_t> shape, const place& at) {
  if (source.is_none()) return std::nullopt;
  return output(source, name, type, shape, at);
}

void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return;
  throw config_error(std::string(name) + " = " + std::to_string(value) + " is outside " +
                     std::to_string(low) + " to " + std::to_string(high));
}

void fail_index(const char* name, int64_t position, int64_t value, const std::string& bound) {
  throw data_error(std::string(name) + "[" + std::to_string(position) + "] = " + std::to_string(value) +
                   ", " + bound);
}

void check_bound(const char* name, const char* kind, int64_t position, int64_t value, int64_t count) {
  if (value >= 0 && value < count) return;
  fail_index(name, position, value, "but there are " + std::to_string(count) + " " + kind);
}

void check_bounds(const tensor& values, const char* kind, int64_t count) {
  const auto* value = values.data<const int64_t>();
  for (int64_t i = 0; i < values.numel(); ++i) check_bound(values.name(), kind, i, value[i], count);
}

void check_indptr(const char* name, const int64_t* indptr, int64_t num_rows, int64_t num_indices) {
  if (indptr[0] != 0) fail_index(name, 0, indptr[0], "but row pointers start at 0");
  for (int64_t row = 0; row < num_rows; ++row) {
    if (indptr[row + 1] < indptr[row]) {
      fail_index(name, row + 1, indptr[row + 1],
                 "less than the " + std::to_string(indptr[row]) + " before it; row pointers never fall");
    }
  }
  if (indptr[num_rows] != num_indices) {
    fail_index(
        name, num_rows, indptr[num_rows],
        "but there are " + std::to_string(num_indices) + " indices; the last row pointer is their number");
  }
}

void check_indices(const char* name, const int64_t* indptr, const int32_t* indices, int64_t num_rows,
                   int64_t low, int64_t high, const char* bound) {
  for (int64_t row = 0; row < num_rows; ++row) {
    int64_t previous = low - 1;
    for (int64_t e = indptr[row]; e < indptr[row + 1]; ++e) {
      const int64_t value = indices[e];
      if (value < low || value >= high) {
        fail_index(
            name, e, value,
            "but " + std::string(bound) + " are " + std::to_string(low) + " to " + std::to_string(high - 1));
      }
      if (value <= previous) {
        fail_index(name, e, value,
                   std::string(value == previous ? "a duplicate" : "out of order") + " in row " +
                       std::to_string(row) + "; sort each row and merge duplicates");
      }
      previous = value;
    }
  }
}

template <class T>
T check_finite(const char* name, const T* values, int64_t count, int64_t row_length) {
  // The bits of a magnitude, as an integer, are in the order of magnitudes; infinity and NaN come last.
  using bits = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  bits largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const bits magnitude = std::bit_cast<bits>(values[i]) & std::numeric_limits<bits>::max();
    largest = magnitude > largest ? magnitude : largest;
  }
  if (largest < std::bit_cast<bits>(std::numeric_limits<T>::infinity())) return std::bit_cast<T>(largest);
  const T* bad = std::find_if(values, values + count, [](T value) { return !std::isfinite(value); });
  throw data_error(std::string(name) + "[" + std::to_string((bad - values) / row_length) + ", " +
                   std::to_string((bad - values) % row_length) + "] = " + std::to_string(*bad) +
                   ", but every value must be a finite number; did the training diverge?");
}

template float check_finite<float>(const char*, const float*, int64_t, int64_t);
template double check_finite<double>(const char*, const double*, int64_t, int64_t);

}  // namespace pyrec
