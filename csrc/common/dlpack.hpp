#pragma once
// The only way an array enters: DLPack (https://dmlc.github.io/dlpack/latest/), so that torch, NumPy, CuPy
// and JAX arrays all work and the extension needs no framework's headers.
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/bfloat16.hpp"
#include "common/device.hpp"

namespace pyrec {

namespace py = pybind11;

enum class dtype { float32, float64, bfloat16, int32, int64, uint8, boolean };

const char* dtype_name(dtype type);

template <class T>
struct dtype_of;
template <>
struct dtype_of<float> {
  static constexpr dtype value = dtype::float32;
};
template <>
struct dtype_of<double> {
  static constexpr dtype value = dtype::float64;
};
template <>
struct dtype_of<bfloat16> {
  static constexpr dtype value = dtype::bfloat16;
};
template <>
struct dtype_of<int32_t> {
  static constexpr dtype value = dtype::int32;
};
template <>
struct dtype_of<int64_t> {
  static constexpr dtype value = dtype::int64;
};
template <>
struct dtype_of<bool> {
  static constexpr dtype value = dtype::boolean;
};

// A borrowed array: memory stays the producer's and lives as long as this object does.
class tensor {
 public:
  // `source` is an object with __dlpack__, or a capsule from it; `name` is the argument's name in messages.
  tensor(const py::handle& source, const char* name);
  tensor(tensor&& other) noexcept;
  tensor& operator=(tensor&&) = delete;
  ~tensor();

  const char* name() const { return name_; }
  dtype type() const { return type_; }
  const device& where() const { return where_; }
  bool writable() const { return writable_; }
  int64_t ndim() const { return static_cast<int64_t>(shape_.size()); }
  int64_t size(int64_t axis) const { return shape_[static_cast<size_t>(axis)]; }
  int64_t stride(int64_t axis) const { return strides_[static_cast<size_t>(axis)]; }  // in elements
  int64_t numel() const;
  bool contiguous() const;
  std::string shape_text() const;

  template <class T>
  T* data() const {
    return static_cast<T*>(data_);
  }

 private:
  void import_capsule(const py::handle& capsule);

  const char* name_;
  void* data_ = nullptr;
  dtype type_{};
  device where_;
  bool writable_ = true;
  std::vector<int64_t> shape_;
  std::vector<int64_t> strides_;
  void* managed_ = nullptr;
  void (*release_)(void* managed) = nullptr;
};

}  // namespace pyrec
