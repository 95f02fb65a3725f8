#pragma once
// The processor's caches, by which kernels choose how far ahead they fetch and how much they keep near. No
// choice changes a result.
#include <algorithm>
#include <cstdint>
#include <string>

namespace pyrec {

struct cache_sizes {
  int64_t first;   // bytes of a core's first-level data cache
  int64_t second;  // bytes of its second-level cache
  int64_t last;    // bytes of the last-level cache, which cores share
};

struct known_caches {
  cache_sizes sizes;
  std::string source;  // where the sizes are from
};

// Read once: what PYREC_CACHES says, else what the system does, else sizes of a common processor. Throws
// config_error where PYREC_CACHES is not three sizes, such as 32K,512K,16M.
const known_caches& caches();
void use_caches(const cache_sizes& sizes);  // from now on; each at least 1 byte

// Bytes of rows that a gather fetches ahead, into the first-level cache. On a Zen 5 (48 KB) a layer of gowalla,
// d 64, takes 2.4 ms with 12 KB, 2.7 with 4 or 24 KB, and 2.7 with 16 KB into the second-level cache.
inline int64_t fetch_ahead_bytes() { return caches().sizes.first / 4; }

// Bytes of a table that stay in the second-level cache while something else passes: half of it, from 32 to 256 KB.
inline int64_t kept_near_bytes() { return std::clamp<int64_t>(caches().sizes.second / 2, 1 << 15, 1 << 18); }

}  // namespace pyrec
