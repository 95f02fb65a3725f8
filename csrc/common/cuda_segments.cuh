#pragma once
// Entries by the row of a table that they name, in their order. Integer atomics give an entry a ticket, the
// number of its row's entries that happened to come before; tickets fill a row's segment in that order; and
// an entry's place in the segment is the number of smaller ones there. Where the segments lie depends on
// chance too, but no sum over one does.
#include "common/cuda_block.cuh"
#include "common/scratch_parts.hpp"

namespace pyrec::cuda {

namespace {

constexpr int segment_threads = 256;

struct segments {
  int64_t num_entries;
  int64_t num_rows;
  int32_t* ticket;   // (num_entries,); -1 of an entry that is left out
  int32_t* entries;  // (num_entries,) by rows, each row's in the order of their tickets
  int32_t* start;    // (num_rows,) of a row's segment
  int32_t* count;    // (num_rows,) its length, and behind them the number of places taken
};

inline segments take_segments(buffer_parts& parts, int64_t num_entries, int64_t num_rows) {
  return {.num_entries = num_entries,
          .num_rows = num_rows,
          .ticket = parts.take<int32_t>(num_entries),
          .entries = parts.take<int32_t>(num_entries),
          .start = parts.take<int32_t>(num_rows),
          .count = parts.take<int32_t>(num_rows + 1)};
}

// Before the first ticket.
inline void start_segments(const segments& s, void* stream) {
  const auto bytes = static_cast<size_t>(s.num_rows + 1) * sizeof(int32_t);
  check(cudaMemsetAsync(s.count, 0, bytes, static_cast<cudaStream_t>(stream)), "cudaMemsetAsync of segments");
}

__device__ __forceinline__ void take_ticket(const segments& s, int64_t entry, int64_t row, bool counts) {
  s.ticket[entry] = counts ? atomicAdd(s.count + row, 1) : -1;
}

__global__ void __launch_bounds__(segment_threads) place_rows(const segments s) {
  __shared__ int32_t base;
  const int64_t row = grid_thread();
  const scanned own = block_scan<segment_threads>(row < s.num_rows ? s.count[row] : 0);
  if (threadIdx.x == 0) base = atomicAdd(s.count + s.num_rows, own.total);
  __syncthreads();
  if (row < s.num_rows) s.start[row] = base + own.before;
}

// row_of(entry): the row that it names.
template <class Rows>
__global__ void __launch_bounds__(segment_threads) place_entries(const segments s, const Rows row_of) {
  const int64_t entry = grid_thread();
  if (entry >= s.num_entries || s.ticket[entry] < 0) return;
  s.entries[s.start[row_of(entry)] + s.ticket[entry]] = static_cast<int32_t>(entry);
}

// After the last ticket.
template <class Rows>
void place_segments(const segments& s, const Rows& row_of, void* stream) {
  LAUNCH(place_rows, blocks_for(s.num_rows, segment_threads), segment_threads, 0, stream, s);
  const auto entries = place_entries<Rows>;
  LAUNCH(entries, blocks_for(s.num_entries, segment_threads), segment_threads, 0, stream, s, row_of);
}

// Where an entry of that row stands among all entries, those of its row in their order.
__device__ __forceinline__ int64_t place_in_order(const segments& s, int64_t entry, int64_t row) {
  const int32_t* others = s.entries + s.start[row];
  const int32_t count = s.count[row];
  int32_t smaller = 0;
  for (int32_t i = 0; i < count; ++i) smaller += others[i] < entry;
  return s.start[row] + smaller;
}

}  // namespace

}  // namespace pyrec::cuda
