#pragma once
// A row's system lies in one worker's cache: its upper triangle row by row, in whole tiles. Products of entries and
// those of the factorisation's panels are added by the same tile of registers.
#include <type_traits>

#include "als/als.hpp"
#include "common/parallel.hpp"
#include "common/scratch_parts.hpp"
#include "isa/rows.hpp"

namespace pyrec::PYREC_ISA {

#if PYREC_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int als_tile_rows = 8;  // with two vectors of sums each: half of 32 registers
#else
constexpr int als_tile_rows = 4;
#endif
constexpr int64_t als_panel = 8;  // rows of the factor at a time

// One worker's memory.
template <class T>
struct als_memory {
  T* system;    // (stride, stride) the upper triangle of A, then U with A = U^T U
  T* left;      // (als_chunk, stride)
  T* right;     // (als_chunk, stride)
  T* diagonal;  // (stride,) of A; then 1 / diag(U)
  T* gradient;  // (stride,)
  T* half;      // (stride,) U^-T gradient
  T* step;      // (stride,) d
  T* x;         // (stride,) the row's x, padded
};

// Columns of a block in whole tiles and vectors. als_padding is a multiple of both.
PYREC_INLINE int64_t als_columns(int64_t columns) { return rounded_up(columns, als_padding); }

template <class T>
PYREC_INLINE als_memory<T> take_als_memory(buffer_parts& parts, int64_t stride, int64_t block) {
  const int64_t columns = als_columns(block);
  return {.system = parts.take<T>(columns * columns),
          .left = parts.take<T>(als_chunk * columns),
          .right = parts.take<T>(als_chunk * columns),
          .diagonal = parts.take<T>(columns),
          .gradient = parts.take<T>(columns),
          .half = parts.take<T>(columns),
          .step = parts.take<T>(columns),
          .x = parts.take<T>(stride)};
}

// Bytes of one worker.
template <class T>
int64_t als_scratch(const als_args<T>& a) {
  buffer_parts parts(nullptr, 64);
  take_als_memory<T>(parts, a.stride, a.block);
  return parts.bytes();
}

// to[row][column] += sum_k left[k][row] right[k][column] of a tile.
template <class T, int Vectors>
PYREC_INLINE void add_tile(T* to, const T* left, const T* right, int64_t stride, int64_t right_stride,
                           int64_t count) {
  constexpr int width = simd<T>::width;
  vec<T> sum[als_tile_rows][Vectors];
#pragma GCC unroll 8
  for (int row = 0; row < als_tile_rows; ++row) {
    for (int v = 0; v < Vectors; ++v) sum[row][v] = load(to + row * stride + v * width);
  }
  for (int64_t k = 0; k < count; ++k) {
    vec<T> factor[Vectors];
    for (int v = 0; v < Vectors; ++v) factor[v] = load(right + k * right_stride + v * width);
#pragma GCC unroll 8
    for (int row = 0; row < als_tile_rows; ++row) {
      const vec<T> rate = broadcast(left[k * stride + row]);
      for (int v = 0; v < Vectors; ++v) sum[row][v] = multiply_add(rate, factor[v], sum[row][v]);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < als_tile_rows; ++row) {
    for (int v = 0; v < Vectors; ++v) store(to + row * stride + v * width, sum[row][v]);
  }
}

// system += left^T right from row `first` on, in its upper triangle and, in whole tiles, a little below it.
// left: (count, stride), right: (count, right_stride); first is a multiple of als_panel.
template <class T>
void add_products(T* system, const T* left, const T* right, int64_t stride, int64_t right_stride,
                  int64_t first, int64_t columns, int64_t count) {
  constexpr int width = simd<T>::width;
  for (int64_t i = first; i < columns; i += als_tile_rows) {
    int64_t j = i / width * width;
    for (; j + 2 * width <= stride; j += 2 * width) {
      add_tile<T, 2>(system + i * stride + j, left + i, right + j, stride, right_stride, count);
    }
    if (j < stride) {
      add_tile<T, 1>(system + i * stride + j, left + i, right + j, stride, right_stride, count);
    }
  }
}

// U in the place of A's upper triangle; false where a pivot is not positive.
template <class T>
bool factorise(const als_memory<T>& m, int64_t columns, int64_t stride) {
  constexpr int width = simd<T>::width;
  for (int64_t first = 0; first < columns; first += als_panel) {
    const int64_t end = first + als_panel < columns ? first + als_panel : columns;
    for (int64_t k = first; k < end; ++k) {
      T* const row = m.system + k * stride;
      const T pivot = row[k];
      if (!(pivot > least_pivot<T>() * m.diagonal[k])) return false;
      const T inverse = T(1) / (sizeof(T) == sizeof(float) ? T(__builtin_sqrtf(static_cast<float>(pivot)))
                                                           : T(__builtin_sqrt(pivot)));
      m.diagonal[k] = inverse;
      for (int64_t c = k / width * width; c < stride; c += width) {
        store(row + c, load(row + c) * broadcast(inverse));
      }
      for (int64_t i = k + 1; i < end; ++i) {
        T* const other = m.system + i * stride;
        const vec<T> rate = broadcast(-row[i]);
        for (int64_t c = i / width * width; c < stride; c += width) {
          store(other + c, multiply_add(rate, load(row + c), load(other + c)));
        }
      }
    }
    if (end == columns) return true;
    T* const panel = m.system + first * stride;
    for (int64_t k = 0; k < als_panel; ++k) {
      for (int64_t c = end / width * width; c < stride; c += width) {
        store(m.left + k * stride + c, -load(panel + k * stride + c));
      }
    }
    add_products(m.system, m.left, panel, stride, stride, end, columns, als_panel);
  }
  return true;
}

// The sum of the lanes, halves by halves.
template <class T>
PYREC_INLINE T sum_lanes(vec<T> lanes) {
  using index = std::conditional_t<sizeof(T) == sizeof(uint32_t), uint32_t, uint64_t>;
#pragma GCC unroll 4
  for (int half = simd<T>::width / 2; half > 0; half /= 2) {
    vec<index> other{};
    for (int lane = 0; lane < simd<T>::width; ++lane) other[lane] = static_cast<index>(lane ^ half);
    lanes += __builtin_shuffle(lanes, other);
  }
  return lanes[0];
}

// step = U^-1 U^-T gradient, and 0 behind `columns`. Where a vector reaches over the diagonal, what it reads there is
// finite and what it writes is not read again.
template <class T>
void back_substitute(const als_memory<T>& m, int64_t columns, int64_t stride) {
  constexpr int width = simd<T>::width;
  for (int64_t k = 0; k < columns; ++k) {
    const T* const row = m.system + k * stride;
    const T value = m.gradient[k] * m.diagonal[k];
    m.half[k] = value;
    const vec<T> rate = broadcast(-value);
    for (int64_t c = (k + 1) / width * width; c < stride; c += width) {
      store(m.gradient + c, multiply_add(rate, load(row + c), load(m.gradient + c)));
    }
  }
  for (int64_t c = 0; c < stride; c += width) store(m.step + c, vec<T>{});
  for (int64_t first = (columns - 1) / als_panel * als_panel; first >= 0; first -= als_panel) {
    const int64_t end = first + als_panel < columns ? first + als_panel : columns;
    T left[als_panel];
    for (int64_t k = first; k < end; ++k) {
      vec<T> sum{};
      for (int64_t c = end / width * width; c < stride; c += width) {
        sum = multiply_add(load(m.system + k * stride + c), load(m.step + c), sum);
      }
      left[k - first] = m.half[k] - sum_lanes<T>(sum);
    }
    for (int64_t k = end - 1; k >= first; --k) {
      T value = left[k - first];
      for (int64_t j = k + 1; j < end; ++j) value -= m.system[k * stride + j] * m.step[j];
      m.step[k] = value * m.diagonal[k];
    }
  }
}

template <class T>
PYREC_INLINE const T* fixed_row(const als_args<T>& a, int64_t entry) {
  return a.vectors + int64_t{a.indices[entry]} * a.stride;
}

template <class T>
PYREC_INLINE T padded_product(const T* a, const T* b, int64_t columns) {
  constexpr int width = simd<T>::width;
  vec<T> sum{};
  for (int64_t c = 0; c < columns; c += width) sum = multiply_add(load(a + c), load(b + c), sum);
  return sum_lanes<T>(sum);
}

template <class T>
PYREC_INLINE void start_errors(const als_args<T>& a, const als_memory<T>& m, int64_t begin, int64_t end) {
  constexpr int64_t ahead = 6;
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t k = begin; k < end; ++k) {
    if (k + ahead < end) {
      const T* const next = fixed_row(a, k + ahead);
      for (int64_t c = 0; c < a.stride; c += line) __builtin_prefetch(next + c);
    }
    const T offset = a.offset == nullptr ? T(0) : a.offset[a.indices[k]];
    a.error[k] = a.target[k] - offset - padded_product(fixed_row(a, k), m.x, a.stride);
  }
}

// The block of the system and of the gradient without the entries: s G + reg diag(penalty), s (g - G x) - reg penalty x.
template <class T>
PYREC_INLINE void start_block(const als_args<T>& a, const als_memory<T>& m, int64_t row, int64_t from,
                              int64_t columns, int64_t stride) {
  constexpr int width = simd<T>::width;
  const T scale = a.scale == nullptr ? T(1) : a.scale[row];
  for (int64_t c = 0; c < stride; c += width) {
    vec<T> product{};
    if (a.gram != nullptr) {
      for (int64_t j = 0; j < a.dim; ++j) {
        product = multiply_add(broadcast(m.x[j]), load(a.gram + j * a.stride + from + c), product);
      }
    }
    store(m.gradient + c, -product * broadcast(scale));
    for (int64_t i = 0; i < stride; ++i) {
      const bool any = a.gram != nullptr && i < columns;
      store(m.system + i * stride + c,
            any ? broadcast(scale) * load(a.gram + (from + i) * a.stride + from + c) : vec<T>{});
    }
  }
  for (int64_t i = 0; i < columns; ++i) {
    const T reg = a.penalty == nullptr ? a.reg[row] : a.reg[row] * a.penalty[from + i];
    m.system[i * stride + i] += reg;
    if (a.linear != nullptr) m.gradient[i] += scale * a.linear[from + i];
    m.gradient[i] -= reg * m.x[from + i];
  }
}

// Adds `count` entries from `entry` on to the block of the system and of the gradient.
template <class T>
PYREC_INLINE void add_entries(const als_args<T>& a, const als_memory<T>& m, int64_t entry, int64_t count,
                              int64_t from, int64_t columns, int64_t stride) {
  constexpr int width = simd<T>::width;
  for (int64_t k = 0; k < count; ++k) {
    const T* const row = fixed_row(a, entry + k) + from;
    const vec<T> weight = broadcast(a.weight[entry + k]);
    for (int64_t c = 0; c < stride; c += width) {
      const vec<T> value = load(row + c);
      store(m.right + k * stride + c, value);
      store(m.left + k * stride + c, weight * value);
    }
  }
  for (int64_t c = 0; c < stride; c += width) {
    vec<T> sum = load(m.gradient + c);
    for (int64_t k = 0; k < count; ++k) {
      sum = multiply_add(broadcast(a.error[entry + k]), load(m.left + k * stride + c), sum);
    }
    store(m.gradient + c, sum);
  }
  add_products(m.system, m.left, m.right, stride, stride, 0, columns, count);
}

// The least `row`, whichever thread comes first.
PYREC_INLINE void note_row(int64_t* first, int64_t row) {
  int64_t known = __atomic_load_n(first, __ATOMIC_RELAXED);
  while (row < known &&
         !__atomic_compare_exchange_n(first, &known, row, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

template <class T>
PYREC_INLINE bool solve_block(const als_args<T>& a, const als_memory<T>& m, int64_t row, int64_t from,
                              int64_t begin, int64_t end) {
  const int64_t columns = from + a.block < a.dim ? a.block : a.dim - from;
  const int64_t stride = als_columns(columns);
  start_block(a, m, row, from, columns, stride);
  for (int64_t entry = begin; entry < end; entry += als_chunk) {
    add_entries(a, m, entry, entry + als_chunk < end ? als_chunk : end - entry, from, columns, stride);
  }
  for (int64_t i = 0; i < columns; ++i) m.diagonal[i] = m.system[i * stride + i];
  if (!factorise(m, columns, stride)) return false;
  back_substitute(m, columns, stride);
  for (int64_t i = 0; i < columns; ++i) m.x[from + i] += m.step[i];
  for (int64_t k = begin; k < end; ++k) {
    a.error[k] -= padded_product(fixed_row(a, k) + from, m.step, stride);
  }
  return true;
}

template <class T>
PYREC_INLINE void solve_row(const als_args<T>& a, const als_memory<T>& m, int64_t row) {
  const int64_t begin = a.indptr[row];
  const int64_t end = a.indptr[row + 1];
  T* const x = a.x + row * a.dim;
  for (int64_t c = 0; c < a.stride; ++c) m.x[c] = c < a.dim ? x[c] : T(0);
  a.loss[row] = 0;
  start_errors(a, m, begin, end);
  for (int64_t from = 0; from < a.dim; from += a.block) {
    if (!solve_block(a, m, row, from, begin, end)) return note_row(a.status, row);
  }
  double loss = 0;
  for (int64_t k = begin; k < end; ++k) {
    loss +=
        static_cast<double>(a.weight[k]) * static_cast<double>(a.error[k]) * static_cast<double>(a.error[k]);
  }
  double all = loss;  // not finite where one of these is not
  for (int64_t c = 0; c < a.dim; ++c) all += 0 * static_cast<double>(m.x[c]);
  if (!(all - all == 0)) return note_row(a.status + 1, row);
  a.loss[row] = loss;
  for (int64_t c = 0; c < a.dim; ++c) x[c] = m.x[c];
}

template <class T>
void solve_rows(const als_args<T>& a) {
  a.status[0] = a.status[1] = a.num_rows;
  if (a.num_rows == 0) return;
  const int64_t columns = als_columns(a.block);
  const int64_t products = (a.num_entries / a.num_rows + columns) * columns * a.stride;  // of a row, about
  const int64_t piece = 1 + 500'000 / products;
  const int64_t bytes = als_scratch(a);
  const int workers = static_cast<int>(a.num_workers);
  parallel_ranges_workers(a.num_rows, piece, workers, [&](int64_t first, int64_t last, int worker) {
    buffer_parts parts(static_cast<char*>(a.scratch) + worker * bytes, 64);
    const als_memory<T> m = take_als_memory<T>(parts, a.stride, a.block);
    for (int64_t row = first; row < last; ++row) solve_row(a, m, row);
  });
}

// One piece's sum of products, in T for as many rows as add little rounding, then in float64.
template <class T>
PYREC_INLINE void gram_piece(const gram_args<T>& a, int64_t first, int64_t last, double* total) {
  constexpr int width = simd<T>::width;
  constexpr int64_t rows_in_short = 256;
  const int64_t stride = a.stride;
  for (int64_t i = 0; i < stride * stride; ++i) total[i] = 0;
  // Laid out as gram_piece_bytes counts.
  T* const system = reinterpret_cast<T*>(total + stride * stride);
  T* const left = system + stride * stride;
  for (int64_t start = first; start < last; start += rows_in_short) {
    const int64_t stop = start + rows_in_short < last ? start + rows_in_short : last;
    for (int64_t i = 0; i < stride * stride; i += width) store(system + i, vec<T>{});
    for (int64_t row = start; row < stop; row += als_chunk) {
      const int64_t count = row + als_chunk < stop ? als_chunk : stop - row;
      const T* const right = a.vectors + row * stride;
      for (int64_t k = 0; k < count; ++k) {
        const vec<T> weight = broadcast(a.weight == nullptr ? T(1) : a.weight[row + k]);
        for (int64_t c = 0; c < stride; c += width) {
          store(left + k * stride + c, weight * load(right + k * stride + c));
        }
      }
      add_products(system, left, right, stride, stride, 0, a.dim, count);
    }
    for (int64_t i = 0; i < stride * stride; ++i) total[i] += static_cast<double>(system[i]);
  }
}

template <class T>
void gram(const gram_args<T>& a) {
  const int64_t pieces = gram_pieces(a.num_rows, a.stride);
  const int64_t of_piece = gram_piece_bytes<T>(a.stride);
  const int64_t rows = rounded_up(ceil_div(a.num_rows, pieces), als_chunk);
  const auto total = [&](int64_t piece) {
    return reinterpret_cast<double*>(static_cast<char*>(a.scratch) + piece * of_piece);
  };
  parallel_for(pieces, [&](int64_t piece) {
    const int64_t first = piece * rows < a.num_rows ? piece * rows : a.num_rows;
    const int64_t last = first + rows < a.num_rows ? first + rows : a.num_rows;
    gram_piece(a, first, last, total(piece));
  });
  for (int64_t i = 0; i < a.dim; ++i) {
    for (int64_t j = i; j < a.dim; ++j) {
      double sum = 0;
      for (int64_t piece = 0; piece < pieces; ++piece) sum += total(piece)[i * a.stride + j];
      a.out[i * a.dim + j] = a.out[j * a.dim + i] = sum;
    }
  }
}

}  // namespace pyrec::PYREC_ISA
