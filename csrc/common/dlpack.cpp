#include "common/dlpack.hpp"

#include <cstring>

#include "common/check.hpp"

namespace pyrec {

namespace {

// The structures of the DLPack ABI, versions 0.x ("dltensor") and 1.x ("dltensor_versioned").
struct dl_device {
  int32_t type;
  int32_t id;
};

struct dl_data_type {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};

struct dl_tensor {
  void* data;
  dl_device device;
  int32_t ndim;
  dl_data_type type;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};

struct dl_managed {
  dl_tensor tensor;
  void* context;
  void (*deleter)(dl_managed*);
};

struct dl_managed_versioned {
  uint32_t major;
  uint32_t minor;
  void* context;
  void (*deleter)(dl_managed_versioned*);
  uint64_t flags;
  dl_tensor tensor;
};

constexpr uint64_t flag_read_only = 1;

template <class Managed>
void release(void* pointer) {
  auto* managed = static_cast<Managed*>(pointer);
  if (managed->deleter != nullptr) managed->deleter(managed);
}

dtype type_from(const dl_data_type& type, const char* name) {
  enum code : uint8_t { signed_integer = 0, unsigned_integer = 1, floating = 2, bfloat = 4, boolean = 6 };
  if (type.lanes == 1) {
    if (type.code == floating && type.bits == 32) return dtype::float32;
    if (type.code == floating && type.bits == 64) return dtype::float64;
    if (type.code == bfloat && type.bits == 16) return dtype::bfloat16;
    if (type.code == signed_integer && type.bits == 32) return dtype::int32;
    if (type.code == signed_integer && type.bits == 64) return dtype::int64;
    if (type.code == unsigned_integer && type.bits == 8) return dtype::uint8;
    if (type.code == boolean && type.bits == 8) return dtype::boolean;
  }
  throw data_error(std::string(name) + " has a dtype that pyrec does not read (DLPack code " +
                   std::to_string(type.code) + ", " + std::to_string(type.bits) +
                   " bits); convert it to float32, float64, int32 or int64");
}

device device_from(const dl_device& source, const char* name) {
  enum kind : int32_t { cpu = 1, cuda = 2, cuda_host = 3 };
  if (source.type == cpu || source.type == cuda_host) return {};
  if (source.type == cuda) return {.ordinal = source.id};
  throw data_error(std::string(name) + " is on a device that pyrec does not read (DLPack device type " +
                   std::to_string(source.type) + "); move it to the CPU or a CUDA device");
}

// An array that cannot be exported (it wants a gradient, is sparse, has no memory) is one of the wrong kind.
[[noreturn]] void refuse_export(const py::error_already_set& error, const char* name) {
  if (!error.matches(PyExc_Exception)) throw error;
  throw data_error(std::string(name) +
                   " cannot be exported by its __dlpack__: " + py::cast<std::string>(py::str(error.value())));
}

py::object capsule_of(const py::handle& source, const char* name) {
  if (PyCapsule_CheckExact(source.ptr())) return py::reinterpret_borrow<py::object>(source);
  if (!py::hasattr(source, "__dlpack__")) {
    throw data_error(std::string(name) + " is a " + Py_TYPE(source.ptr())->tp_name +
                     ", but an array with __dlpack__ is needed (torch, NumPy, CuPy, JAX)");
  }
  py::object method = source.attr("__dlpack__");
  try {
    return method(py::arg("max_version") = py::make_tuple(1, 0));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) refuse_export(error, name);
  }
  try {
    return method();
  } catch (py::error_already_set& error) {
    refuse_export(error, name);
  }
}

}  // namespace

const char* dtype_name(dtype type) {
  switch (type) {
    case dtype::float32:
      return "float32";
    case dtype::float64:
      return "float64";
    case dtype::bfloat16:
      return "bfloat16";
    case dtype::int32:
      return "int32";
    case dtype::int64:
      return "int64";
    case dtype::uint8:
      return "uint8";
    case dtype::boolean:
      return "bool";
  }
  return "?";
}

tensor::tensor(const py::handle& source, const char* name) : name_(name) {
  import_capsule(capsule_of(source, name));
}

tensor::tensor(tensor&& other) noexcept
    : name_(other.name_),
      data_(other.data_),
      type_(other.type_),
      where_(other.where_),
      writable_(other.writable_),
      shape_(std::move(other.shape_)),
      strides_(std::move(other.strides_)),
      managed_(std::exchange(other.managed_, nullptr)),
      release_(other.release_) {}

tensor::~tensor() {
  if (managed_ != nullptr) release_(managed_);
}

void tensor::import_capsule(const py::handle& capsule) {
  const bool versioned = PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") != 0;
  const char* kind = versioned ? "dltensor_versioned" : "dltensor";
  void* managed = PyCapsule_GetPointer(capsule.ptr(), kind);
  if (managed == nullptr) {
    PyErr_Clear();
    throw data_error(std::string(name_) + " is a capsule that is not a DLPack array, or was used already");
  }
  const dl_tensor& source = versioned ? static_cast<dl_managed_versioned*>(managed)->tensor
                                      : static_cast<dl_managed*>(managed)->tensor;
  type_ = type_from(source.type, name_);
  where_ = device_from(source.device, name_);
  writable_ = !versioned || (static_cast<dl_managed_versioned*>(managed)->flags & flag_read_only) == 0;
  data_ = static_cast<char*>(source.data) + source.byte_offset;
  shape_.assign(source.shape, source.shape + source.ndim);
  if (source.strides != nullptr) {
    strides_.assign(source.strides, source.strides + source.ndim);
  } else {
    strides_.resize(shape_.size());
    int64_t stride = 1;
    for (size_t axis = shape_.size(); axis-- > 0; stride *= shape_[axis]) strides_[axis] = stride;
  }
  PyCapsule_SetName(capsule.ptr(), versioned ? "used_dltensor_versioned" : "used_dltensor");
  managed_ = managed;
  release_ = versioned ? &release<dl_managed_versioned> : &release<dl_managed>;
}

int64_t tensor::numel() const {
  int64_t count = 1;
  for (const int64_t extent : shape_) count *= extent;
  return count;
}

bool tensor::contiguous() const {
  if (numel() == 0) return true;
  int64_t expected = 1;
  for (size_t axis = shape_.size(); axis-- > 0; expected *= shape_[axis]) {
    if (shape_[axis] != 1 && strides_[axis] != expected) return false;
  }
  return true;
}

std::string tensor::shape_text() const {
  std::string text = "(";
  for (size_t axis = 0; axis < shape_.size(); ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(shape_[axis]);
  }
  return text + (shape_.size() == 1 ? ",)" : ")");
}

}  // namespace pyrec
