#include <cstdlib>

#include "common/check.hpp"
#include "isa/kernels.hpp"

namespace pyrec {

namespace baseline {
extern const kernel_table table;
}
#ifdef PYREC_X86
namespace avx2 {
extern const kernel_table table;
}
namespace avx512 {
extern const kernel_table table;
}
namespace avx512vnni {
extern const topk_kernels topk_table;
}
#endif

namespace {

#ifdef PYREC_X86
// Made here, where no instruction of a wider set can get into what is run.
const kernel_table& avx512vnni_table() {
  static const kernel_table table = [] {
    kernel_table kernels = avx512::table;
    kernels.isa = "avx512vnni";
    kernels.topk = avx512vnni::topk_table;
    return kernels;
  }();
  return table;
}
#endif

std::vector<const kernel_table*> runnable() {
  std::vector<const kernel_table*> tables{&baseline::table};
#ifdef PYREC_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    tables.push_back(&avx2::table);
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    tables.push_back(&avx512::table);
    if (__builtin_cpu_supports("avx512vnni")) tables.push_back(&avx512vnni_table());
  }
#endif
  return tables;
}

const kernel_table* find(const std::string& name) {
  std::string levels;
  for (const kernel_table* table : runnable()) {
    if (name == table->isa) return table;
    levels += (levels.empty() ? "" : ", ") + std::string(table->isa);
  }
  throw config_error("PYREC_ISA = '" + name + "' cannot run on this machine; it can be one of: " + levels);
}

const kernel_table*& current() {
  static const kernel_table* table = [] {
    const char* forced = std::getenv("PYREC_ISA");
    return forced != nullptr && *forced != '\0' ? find(forced) : runnable().back();
  }();
  return table;
}

}  // namespace

const kernel_table& kernels() { return *current(); }

std::vector<std::string> isa_levels() {
  std::vector<std::string> names;
  for (const kernel_table* table : runnable()) names.emplace_back(table->isa);
  return names;
}

void use_isa(const std::string& name) { current() = find(name); }

}  // namespace pyrec
