#pragma once
// Test cases of the emulation, as kernels that nvcc compiles too.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "common/cuda_launch.cuh"

namespace selftest {

using test_case = void (*)();

inline std::map<std::string, test_case>& cases() {
  static std::map<std::string, test_case> all;
  return all;
}

struct registration {
  registration(const char* name, test_case run) { cases()[name] = run; }
};

template <class T>
void expect_equal(const char* what, const std::vector<T>& got, const std::vector<T>& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (got[i] == wanted[i]) continue;
    std::fprintf(stderr, "%s: [%zu] is %.17g, not %.17g\n", what, i, static_cast<double>(got[i]),
                 static_cast<double>(wanted[i]));
    std::exit(1);
  }
}

// Calls body(i) for i in [0, count), and gives what it returns.
template <class T, class Body>
std::vector<T> table(int count, const Body& body) {
  std::vector<T> values;
  for (int i = 0; i < count; ++i) values.push_back(body(i));
  return values;
}

constexpr unsigned whole_warp = 0xFFFFFFFF;

}  // namespace selftest

#define TEST_CASE(name)                                                 \
  static void name();                                                   \
  static const ::selftest::registration registered_##name(#name, name); \
  static void name()
