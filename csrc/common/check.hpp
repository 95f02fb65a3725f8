#pragma once
// Checks that the bindings make once, so that kernels may trust their input.
#include <initializer_list>
#include <optional>
#include <string>

#include "common/dlpack.hpp"
#include "common/errors.hpp"

namespace pyrec {

void bind_errors(py::module_& m);

// Stands for an extent that the check leaves open.
constexpr int64_t any_size = -1;

// The device of a call, and the argument that settled it; null where the call is for the CPU alone.
struct place {
  device where;
  const char* argument = nullptr;
};
inline place place_of(const tensor& array) { return {array.where(), array.name()}; }

void require_place(const tensor& array, const place& at);

// At that place, contiguous, of that type and shape; an output is writable too.
void require(const tensor& array, dtype type, std::initializer_list<int64_t> shape, const place& at = {});
void require_output(const tensor& array, dtype type, std::initializer_list<int64_t> shape,
                    const place& at = {});

// Each imports the array and requires the rest.
tensor input(const py::handle& source, const char* name, dtype type, std::initializer_list<int64_t> shape,
             const place& at = {});
tensor output(const py::handle& source, const char* name, dtype type, std::initializer_list<int64_t> shape,
              const place& at = {});
std::optional<tensor> optional_tensor(const py::handle& source, const char* name);  // not checked
std::optional<tensor> optional_input(const py::handle& source, const char* name, dtype type,
                                     std::initializer_list<int64_t> shape, const place& at = {});
std::optional<tensor> optional_output(const py::handle& source, const char* name, dtype type,
                                      std::initializer_list<int64_t> shape, const place& at = {});

template <class T>
const T* pointer(const std::optional<tensor>& array) {
  return array ? array->data<const T>() : nullptr;
}
template <class T>
T* mutable_pointer(const std::optional<tensor>& array) {
  return array ? array->data<T>() : nullptr;
}

void check_range(const char* name, int64_t value, int64_t low, int64_t high);  // low <= value <= high
[[noreturn]] void fail_index(const char* name, int64_t position, int64_t value, const std::string& bound);

// Each value is in [0, count), the number of `kind` there is; checks one value, or an int64 array of them.
void check_bound(const char* name, const char* kind, int64_t position, int64_t value, int64_t count);
void check_bounds(const tensor& values, const char* kind, int64_t count);

// indptr: (num_rows + 1,) starts at 0, never falls, ends at num_indices.
void check_indptr(const char* name, const int64_t* indptr, int64_t num_rows, int64_t num_indices);
// indices: each row strictly ascending within [low, high).
void check_indices(const char* name, const int64_t* indptr, const int32_t* indices, int64_t num_rows,
                   int64_t low, int64_t high, const char* bound);
// Every value is a finite number; returns the largest magnitude.
template <class T>
T check_finite(const char* name, const T* values, int64_t count, int64_t row_length);

}  // namespace pyrec
