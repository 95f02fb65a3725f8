#pragma once
// Codes of 16 bits for vectors, and what they may be wrong by. With a user's vector q and an item's x as
//
//   q = a + e,  x = b + f       a, b bfloat16, cut off towards zero; e, f what that leaves over
//   q.x = a.b + a.f + e.x
//
// the score, a sum of dim products in float32, and the tensor cores' a.b differ, by Cauchy-Schwarz and the
// errors of rounded or cut sums (at most dim 2^-20 |q| |x| together, and dim 2^-126 (2 + |q| + |x|) where
// numbers underflow), by at most
//
//   |a| |f| + (|e| + dim 2^-20 |q| + dim 2^-126) |x| + dim 2^-126 (2 + |q|)
//
// A tile of candidates has its largest |f| and |x|. Cut off, no sum of codes leaves float32 where none of
// numbers does. Norms are sums of float64; what is kept of them is rounded up.
#include "common/cuda_block.cuh"
#include "common/rounding.hpp"
#include "common/scratch_parts.hpp"
#include "topk/topk.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;
constexpr int warps = threads / warp;
constexpr int tile_users = topk_device_tile_users;
constexpr int tile_items = 128;
constexpr int64_t code_multiple = 16;  // of a code's columns: what a tensor core takes at a time

struct query_bound {
  float norm;       // |q|
  float code_norm;  // |a|
  float rest_norm;  // |e| + dim 2^-20 |q| + dim 2^-126
  float underflow;  // dim 2^-126 (2 + |q|)
};
struct tile_bound {
  float norm;       // |x|
  float rest_norm;  // |f|
};

// Parts of topk_args.scratch.
struct code_parts {
  int64_t columns;       // dim, padded
  int64_t num_tiles;     // of candidates
  uint16_t* queries;     // (whole tiles of users, columns)
  uint16_t* candidates;  // (num_tiles * tile_items, columns)
  query_bound* query_bounds;
  tile_bound* tile_bounds;
  uint64_t* worst;  // (whole tiles of users,) the greatest of the splits' k-th best keys
  int32_t* ids;     // (num_tiles * tile_items,) the candidates' items
};

inline code_parts lay_out(const topk_args& a, buffer_parts& parts) {
  const int64_t users = rounded_up(a.num_queries, tile_users);
  const int64_t candidates = rounded_up(a.num_candidates, tile_items);
  const int64_t columns = rounded_up(a.dim, code_multiple);
  const int64_t num_tiles = candidates / tile_items;
  return {.columns = columns,
          .num_tiles = num_tiles,
          .queries = parts.take<uint16_t>(users * columns),
          .candidates = parts.take<uint16_t>(candidates * columns),
          .query_bounds = parts.take<query_bound>(users),
          .tile_bounds = parts.take<tile_bound>(num_tiles),
          .worst = parts.take<uint64_t>(users),
          .ids = parts.take<int32_t>(candidates)};
}

struct code_norms {
  double norm;       // |x| or more, and so the others
  double code_norm;  // |b|
  double rest_norm;  // |f|
};

// A warp takes a vector; null for zeros. code: (columns,).
__device__ __forceinline__ code_norms encode(const float* row, int64_t dim, int64_t columns, uint16_t* code) {
  double squares = 0, code_squares = 0, rest_squares = 0;
  for (int64_t c = threadIdx.x % warp; c < columns; c += warp) {
    const float value = row != nullptr && c < dim ? row[c] : 0;
    const uint32_t kept = __float_as_uint(value) & 0xFFFF0000;
    code[c] = static_cast<uint16_t>(kept >> 16);
    const double near = __uint_as_float(kept);
    const double rest = static_cast<double>(value) - near;
    squares += static_cast<double>(value) * static_cast<double>(value);
    code_squares += near * near;
    rest_squares += rest * rest;
  }
  constexpr double up = 1.0 + 1e-12;  // beyond the roundings of the sums
  return {sqrt(group_sum<warp>(squares)) * up, sqrt(group_sum<warp>(code_squares)) * up,
          sqrt(group_sum<warp>(rest_squares)) * up};
}

// The least float that is not below; value >= 0.
__device__ __forceinline__ float not_below(double value) {
  const auto near = static_cast<float>(value);
  return static_cast<double>(near) < value ? __uint_as_float(__float_as_uint(near) + 1) : near;
}

__global__ void __launch_bounds__(threads) encode_queries(const topk_args a, const code_parts parts) {
  if (a.faults[topk_unsound] != 0) return;
  const int64_t user = grid_thread() / warp;
  const float* row = user < a.num_queries ? a.queries + user * a.dim : nullptr;
  const code_norms q = encode(row, a.dim, parts.columns, parts.queries + user * parts.columns);
  if (threadIdx.x % warp != 0) return;
  parts.worst[user] = 0;
  const double dim = static_cast<double>(a.dim);
  constexpr double rounded = 0x1p-20, tiny = 0x1p-126;
  parts.query_bounds[user] = {
      .norm = not_below(q.norm),
      .code_norm = not_below(q.code_norm),
      .rest_norm = not_below(row != nullptr ? q.rest_norm + dim * rounded * q.norm + dim * tiny : 0),
      .underflow = not_below(dim * tiny * (2 + q.norm))};
}

__device__ __forceinline__ int32_t candidate_id(const topk_args& a, int64_t place) {
  const int64_t candidate = a.by_length != nullptr ? a.by_length[place] : place;
  return a.allowed != nullptr ? a.allowed[candidate] : static_cast<int32_t>(candidate);
}

// A block takes a tile. Magnitudes as bits are in their order.
__global__ void __launch_bounds__(threads) encode_candidates(const topk_args a, const code_parts parts) {
  __shared__ uint32_t largest[2];  // norm and rest_norm
  if (a.faults[topk_unsound] != 0) return;
  if (threadIdx.x < 2) largest[threadIdx.x] = 0;
  __syncthreads();
  const int64_t first = int64_t{blockIdx.x} * tile_items;
  for (int64_t place = first + threadIdx.x / warp; place < first + tile_items; place += warps) {
    const int32_t id = place < a.num_candidates ? candidate_id(a, place) : -1;
    const float* row = id >= 0 ? a.items + id * a.dim : nullptr;
    const code_norms x = encode(row, a.dim, parts.columns, parts.candidates + place * parts.columns);
    if (threadIdx.x % warp != 0) continue;
    parts.ids[place] = id;
    atomicMax(&largest[0], __float_as_uint(not_below(x.norm)));
    atomicMax(&largest[1], __float_as_uint(not_below(x.rest_norm)));
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  parts.tile_bounds[blockIdx.x] = {.norm = __uint_as_float(largest[0]),
                                   .rest_norm = __uint_as_float(largest[1])};
}

// A warp takes a candidate. The sum is encode's.
__global__ void __launch_bounds__(threads) measure_candidates(const topk_lengths_args a) {
  const int64_t candidate = grid_thread() / warp;
  if (candidate >= a.num_candidates) return;
  const int64_t id = a.allowed != nullptr ? a.allowed[candidate] : candidate;
  const int64_t dim = id >= 0 && id < a.num_items ? a.dim : 0;
  double sum = 0;
  for (int64_t c = threadIdx.x % warp; c < dim; c += warp) {
    const auto value = static_cast<double>(a.items[id * a.dim + c]);
    sum += value * value;
  }
  sum = group_sum<warp>(sum);
  if (threadIdx.x % warp == 0) a.lengths[candidate] = sqrt(sum);
}

inline void measure_lengths(const topk_lengths_args& a) {
  if (a.num_candidates == 0) return;
  LAUNCH(measure_candidates, blocks_for(a.num_candidates, warps), threads, 0, a.stream, a);
}

inline void start_encoding(const topk_args& a, const code_parts& parts) {
  const int64_t users = rounded_up(a.num_queries, tile_users);
  LAUNCH(encode_queries, blocks_for(users, warps), threads, 0, a.stream, a, parts);
  if (parts.num_tiles == 0) return;
  LAUNCH(encode_candidates, static_cast<unsigned>(parts.num_tiles), threads, 0, a.stream, a, parts);
}

}  // namespace

}  // namespace pyrec::cuda
