// selftest CASE: runs it; without an argument, lists all.
#include "selftest.hpp"

int main(int argc, char** argv) {
  if (argc == 1) {
    for (const auto& each : selftest::cases()) std::printf("%s\n", each.first.c_str());
    return 0;
  }
  selftest::cases().at(argv[1])();
  return 0;
}
