#pragma once
// Products of codes, a tile of users by a tile of candidates at a time. Both lie in shared memory in slices
// of their columns; while one is multiplied, the next is copied beside it. A warp multiplies 32 users by 64
// candidates.
#include "common/cuda_tensor.cuh"
#include "topk/codes_cuda.cuh"

namespace pyrec::cuda {

namespace {

constexpr int slice = 64;  // columns
constexpr int words_of_copy = 4;
// A row of a slice lies 36 words behind the one before: the words that a warp reads at once, four of each of
// eight rows, lie in all 32 banks.
constexpr int row_words = slice / 2 + 4;
using code_row = uint32_t[row_words];

constexpr int user_blocks = 2;                                  // of 16 users, of a warp
constexpr int candidate_blocks = 8;                             // of 8 candidates
using warp_products = float[user_blocks][candidate_blocks][4];  // a thread's

// Whose products a thread holds: `rows` users, each by `columns` candidates.
struct thread_place {
  static constexpr int rows = 2 * user_blocks;
  static constexpr int columns = 2 * candidate_blocks;
  int warp_index = static_cast<int>(threadIdx.x) / warp;
  int group = static_cast<int>(threadIdx.x) % warp / 4;
  int lane = static_cast<int>(threadIdx.x) % 4;

  __device__ int first_user() const { return warp_index / 2 * 32; }
  __device__ int first_candidate() const { return warp_index % 2 * 64; }
  __device__ int user(int row) const { return first_user() + row * 8 + group; }
  __device__ int candidate(int column) const {
    return first_candidate() + column / 2 * 8 + 2 * lane + column % 2;
  }
  // products[..][..][..] of row and column.
  __device__ static float& of(warp_products& products, int row, int column) {
    return products[row / 2][column / 2][row % 2 * 2 + column % 2];
  }
  __device__ static float of(const warp_products& products, int row, int column) {
    return products[row / 2][column / 2][row % 2 * 2 + column % 2];
  }
};

// codes: (Rows, columns) from the tile's first row on. A thread copies 16 bytes of each of some rows.
template <int Rows>
__device__ __forceinline__ void start_slice(const uint16_t* codes, int columns, int first_column,
                                            code_row* to) {
  constexpr int copies = slice / 8;  // of a row
  constexpr int rows_at_once = threads / copies;
  const int row = static_cast<int>(threadIdx.x) / copies;
  const int copy = static_cast<int>(threadIdx.x) % copies;
  const int column = first_column + 8 * copy;
  if (column >= columns) return;
  const uint16_t* from = codes + int64_t{row} * columns + column;
  uint32_t* const target = &to[row][words_of_copy * copy];
#pragma unroll
  for (int i = 0; i < Rows / rows_at_once; ++i) {
    start_copy(target + i * rows_at_once * row_words, from);
    from += rows_at_once * columns;
  }
}

__device__ __forceinline__ void clear(warp_products& products) {
#pragma unroll
  for (int i = 0; i < user_blocks * candidate_blocks * 4; ++i) {
    products[i / 4 / candidate_blocks][i / 4 % candidate_blocks][i % 4] = 0;
  }
}

// steps: of 16 columns.
__device__ __forceinline__ void multiply(const thread_place& at, const code_row* users,
                                         const code_row* candidates, int steps, warp_products& products) {
  const code_row* const user = users + at.user(0);
  const code_row* const candidate = candidates + at.first_candidate() + at.group;
  for (int step = 0; step < steps; ++step) {
    const int word = 8 * step + at.lane;
    uint32_t a[user_blocks][4];
#pragma unroll
    for (int m = 0; m < user_blocks; ++m) {
      a[m][0] = user[16 * m][word];
      a[m][1] = user[16 * m + 8][word];
      a[m][2] = user[16 * m][word + 4];
      a[m][3] = user[16 * m + 8][word + 4];
    }
#pragma unroll
    for (int n = 0; n < candidate_blocks; ++n) {
      const uint32_t b[2] = {candidate[8 * n][word], candidate[8 * n][word + 4]};
#pragma unroll
      for (int m = 0; m < user_blocks; ++m) multiply_add(products[m][n], a[m], b);
    }
  }
}

}  // namespace

}  // namespace pyrec::cuda
