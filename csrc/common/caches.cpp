#include "common/caches.hpp"

#ifdef __linux__
#include <unistd.h>
#endif

#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "common/errors.hpp"

namespace pyrec {

namespace {

constexpr cache_sizes common_sizes{32 << 10, 512 << 10, 16 << 20};

// "48K", "32M" or bytes; nothing where it is no size above 0.
std::optional<int64_t> parse_size(const std::string& text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, number);
  constexpr int64_t most = int64_t{1} << 40;
  if (error != std::errc() || number < 1 || number > most) return std::nullopt;
  const std::string unit(behind, end);
  if (unit.empty()) return number;
  if (unit == "K") return number << 10;
  if (unit == "M") return number << 20;
  return std::nullopt;
}

cache_sizes parse_sizes(const std::string& text) {
  std::array<int64_t, 3> sizes{};
  size_t from = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const size_t comma = i + 1 < sizes.size() ? text.find(',', from) : text.size();
    const auto size = comma == std::string::npos ? std::nullopt : parse_size(text.substr(from, comma - from));
    if (!size) {
      throw config_error("PYREC_CACHES = '" + text +
                         "' must be the sizes of the first, second and last level, such as 32K,512K,16M");
    }
    sizes[i] = *size;
    from = comma + 1;
  }
  return {sizes[0], sizes[1], sizes[2]};
}

#ifdef __linux__
std::string first_line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

// The data caches of processor 0 by level, of Linux' /sys.
std::optional<cache_sizes> of_sys() {
  std::array<int64_t, 5> of_level{};
  for (int i = 0; i < 8; ++i) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    const std::string level = first_line(folder + "level");
    if (level.size() != 1 || level[0] < '1' || level[0] > '4') continue;
    if (first_line(folder + "type") == "Instruction") continue;
    of_level[static_cast<size_t>(level[0] - '0')] = parse_size(first_line(folder + "size")).value_or(0);
  }
  if (of_level[1] == 0 || of_level[2] == 0) return std::nullopt;
  const int64_t last = of_level[4] != 0 ? of_level[4] : of_level[3] != 0 ? of_level[3] : of_level[2];
  return cache_sizes{of_level[1], of_level[2], last};
}

std::optional<cache_sizes> of_sysconf() {
#ifdef _SC_LEVEL1_DCACHE_SIZE
  const int64_t first = sysconf(_SC_LEVEL1_DCACHE_SIZE);
  const int64_t second = sysconf(_SC_LEVEL2_CACHE_SIZE);
  const int64_t third = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (first > 0 && second > 0) return cache_sizes{first, second, third > 0 ? third : second};
#endif
  return std::nullopt;
}
#endif

known_caches find() {
  const char* forced = std::getenv("PYREC_CACHES");
  if (forced != nullptr && *forced != '\0') return {parse_sizes(forced), "PYREC_CACHES"};
#ifdef __linux__
  if (const auto sizes = of_sys()) return {*sizes, "/sys"};
  if (const auto sizes = of_sysconf()) return {*sizes, "sysconf"};
#endif
  return {common_sizes, "not told by the system: a common processor's"};
}

known_caches& current() {
  static known_caches known = find();
  return known;
}

}  // namespace

const known_caches& caches() { return current(); }

void use_caches(const cache_sizes& sizes) {
  if (sizes.first < 1 || sizes.second < 1 || sizes.last < 1) {
    throw config_error("a cache of " + std::to_string(sizes.first) + ", " + std::to_string(sizes.second) +
                       " and " + std::to_string(sizes.last) + " bytes; each level has at least 1");
  }
  current() = {sizes, "use_caches"};
}

}  // namespace pyrec
