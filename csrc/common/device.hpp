#pragma once
#include <cstdint>
#include <string>

namespace pyrec {

// Where an array lies: on the CPU, or on the CUDA device of that number.
struct device {
  static constexpr int cpu = -1;
  int ordinal = cpu;

  bool on_cpu() const { return ordinal == cpu; }
  bool operator==(const device&) const = default;
};

// The caller's stream of a device, passed through Python as a number.
inline void* stream_of(int64_t stream) { return reinterpret_cast<void*>(stream); }

inline std::string device_text(const device& where) {
  return where.on_cpu() ? "cpu" : std::string("cuda:").append(std::to_string(where.ordinal));
}

}  // namespace pyrec
