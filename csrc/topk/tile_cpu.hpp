#pragma once
#include "isa/simd.hpp"
#include "topk/topk.hpp"

namespace pyrec::PYREC_ISA {

// Candidates lie in panels, feature after feature: (dim, panel_width). A tile is some users against a panel,
// its scores all in registers: 12 x 2 vectors of 32 registers, or 6 x 2 of 16.
constexpr int panel_vectors = 2;
constexpr int64_t panel_width = panel_vectors * simd<float>::width;
constexpr int tile_users = PYREC_VECTOR_BYTES == 64 ? 12 : 6;
constexpr int short_tile_users = tile_users / 3;
static_assert(topk_panel_multiple % panel_width == 0 && panel_width <= 32);

// A bit for each lane of a panel with `left` candidates from its first one on; the others are padding.
PYREC_INLINE uint32_t real_lanes(int64_t left) {
  return left >= panel_width ? ~uint32_t{0} : (uint32_t{1} << left) - 1;
}

// users: (length, Rows); panel: (length, panel_width). One chain of sums a score, in ascending order of j.
template <int Rows>
PYREC_INLINE void multiply(const float* users, const float* panel, int64_t length,
                           vec<float> (&score)[Rows][panel_vectors]) {
  for (int64_t j = 0; j < length; ++j) {
    vec<float> item[panel_vectors];
    for (int v = 0; v < panel_vectors; ++v) item[v] = load(panel + j * panel_width + v * simd<float>::width);
    for (int row = 0; row < Rows; ++row) {
      const vec<float> value = broadcast(users[j * Rows + row]);
      for (int v = 0; v < panel_vectors; ++v) score[row][v] = multiply_add(value, item[v], score[row][v]);
    }
  }
}

// Words [first, first + length) of `Rows` rows of `width` words, word after word: (length, Rows).
template <int Rows, class T>
PYREC_INLINE void interleave_rows(const T* rows, int64_t width, int64_t length, T* out) {
  for (int row = 0; row < Rows; ++row) {
    for (int64_t j = 0; j < length; ++j) out[j * Rows + row] = rows[row * width + j];
  }
}

// column(j, v, numbers) for vector v of each column of the rows item[0] .. item[panel_width - 1], in
// ascending order of j. next: what will be read then, (panel_width, dim), fetched into the second-level cache
// meanwhile; or null.
template <class Column>
PYREC_INLINE void for_columns(const float* const (&item)[panel_width], int64_t dim, const float* next,
                              const Column& column) {
  constexpr int width = simd<float>::width;
  int64_t j = 0;
  for (; j + 4 <= dim; j += 4) {
    for (int64_t line = 0; next != nullptr && line < panel_width / 4; ++line) {
      __builtin_prefetch(next + j * panel_width + line * 16, 0, 2);
    }
    for (int v = 0; v < panel_vectors; ++v) {
      vec<float> fours[4];
      for (int row = 0; row < 4; ++row) fours[row] = load_fours(item + v * width + row, j);
      transpose_fours(fours);
      for (int c = 0; c < 4; ++c) column(j + c, v, fours[c]);
    }
  }
  for (; j < dim; ++j) {
    float numbers[panel_width];
    for (int64_t lane = 0; lane < panel_width; ++lane) numbers[lane] = item[lane][j];
    for (int v = 0; v < panel_vectors; ++v) column(j, v, load(numbers + v * width));
  }
}

// panel: (dim, panel_width) of the rows item[0] .. item[panel_width - 1].
PYREC_INLINE void pack_rows(const float* const (&item)[panel_width], int64_t dim, float* panel,
                            const float* next = nullptr) {
  for_columns(item, dim, next, [&](int64_t j, int v, vec<float> numbers) {
    store(panel + j * panel_width + v * simd<float>::width, numbers);
  });
}

// The largest magnitude's bits, which are in the order of magnitudes; infinity and NaN come last.
inline int32_t largest_bits(const float* from, int64_t count) {
  constexpr int width = simd<float>::width;
  vec<int32_t> largest{};
  int64_t i = 0;
  for (; i + width <= count; i += width) {
    const vec<int32_t> bits = (vec<int32_t>)load(from + i) & 0x7FFFFFFF;
    largest = bits > largest ? bits : largest;
  }
  int32_t most = 0;
  for (int lane = 0; lane < width; ++lane) most = largest[lane] > most ? largest[lane] : most;
  for (; i < count; ++i) {
    const int32_t bits = __builtin_bit_cast(int32_t, from[i]) & 0x7FFFFFFF;
    most = bits > most ? bits : most;
  }
  return most;
}

// tile(rows, user) for tiles of 12, 4 and 1 users (of 6, 2 and 1) that make up [first, last).
template <class Tile>
PYREC_INLINE void for_tiles(int64_t first, int64_t last, const Tile& tile) {
  int64_t user = first;
  for (; user + tile_users <= last; user += tile_users) tile.template operator()<tile_users>(user);
  for (; user + short_tile_users <= last; user += short_tile_users)
    tile.template operator()<short_tile_users>(user);
  for (; user < last; ++user) tile.template operator()<1>(user);
}

}  // namespace pyrec::PYREC_ISA
