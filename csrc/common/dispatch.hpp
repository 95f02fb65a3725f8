#pragma once
#include <string>

#include "common/check.hpp"

namespace pyrec {

// Calls body.operator()<T>() with the floating type of `array`; the one place that lists those allowed.
template <class Body>
void dispatch_real(const tensor& array, const Body& body) {
  switch (array.type()) {
    case dtype::float32:
      return body.template operator()<float>();
    case dtype::float64:
      return body.template operator()<double>();
    default:
      throw data_error(std::string(array.name()) + " has dtype " + dtype_name(array.type()) +
                       ", but float32 or float64 is needed");
  }
}

}  // namespace pyrec
