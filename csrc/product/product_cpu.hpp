#pragma once
// A task has some rows and some panels of columns. It packs a panel of b, a block of steps at a time, and multiplies
// all its rows by it. What a task has depends on the number of threads, and no number of c does.
#include "common/parallel.hpp"
#include "common/rounding.hpp"
#include "isa/block_product.hpp"
#include "product/product.hpp"

namespace pyrec::PYREC_ISA {

template <class T>
constexpr int64_t product_panel_columns = product_vectors * simd<T>::width;

// Rows and panels of a task.
struct product_cut {
  int64_t rows;
  int64_t panels;
};

constexpr int64_t product_least_rows = 36;  // of a task, to pack for
constexpr double product_task_work = 1e6;   // multiplications, some 10 µs
constexpr int64_t product_tasks_per_worker = 8;

PYREC_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T>
PYREC_INLINE product_cut cut_product(const product_args<T>& p) {
  const int64_t panels = ceil_div(p.columns, product_panel_columns<T>);
  const double work =
      static_cast<double>(p.rows) * static_cast<double>(p.columns) * static_cast<double>(p.steps);
  const int64_t most = p.num_workers > 1 ? product_tasks_per_worker * p.num_workers : 1;
  const int64_t wanted = work < static_cast<double>(most) * product_task_work
                             ? static_cast<int64_t>(work / product_task_work) + 1
                             : most;
  const int64_t by_rows = ceil_div(p.rows, product_block_rows);
  const int64_t by_panels = least(panels, ceil_div(wanted, by_rows));
  const int64_t again = ceil_div(wanted, by_rows * by_panels);
  const int64_t rows = rounded_up(ceil_div(p.rows, by_rows * again), product_rows_at_once);
  const int64_t at_least = rows < product_least_rows ? product_least_rows : rows;
  return {least(at_least, product_block_rows), ceil_div(panels, by_panels)};
}

// to (steps, padded) = b's block from `step` and `column` on, (steps, columns).
template <class T>
void pack_rows(const product_args<T>& p, int64_t step, int64_t steps, int64_t column, int64_t columns, T* to,
               int64_t padded) {
  constexpr int width = simd<T>::width;
  const int tail = static_cast<int>(columns % width);
  const T* from = p.b + step * p.b_step + column;
  for (int64_t s = 0; s < steps; ++s, from += p.b_step, to += padded) {
    int64_t j = 0;
    for (; j + width <= columns; j += width) store(to + j, load(from + j));
    if (tail > 0) store(to + j, load_partial(from + j, tail));
  }
}

// pack_rows of a b that lies by columns.
template <class T>
void pack_columns(const product_args<T>& p, int64_t step, int64_t steps, int64_t column, int64_t columns,
                  T* to, int64_t padded) {
  constexpr int width = simd<T>::width;
  const T* from = p.b + step + column * p.b_column;
  const int64_t whole_steps = steps / width * width;
  for (int64_t j = 0; j < padded; j += width) {
    const bool whole = j + width <= columns;
    for (int64_t s = 0; whole && s < whole_steps; s += width)
      transpose_square(from + j * p.b_column + s, p.b_column, to + s * padded + j, padded);
    for (int64_t s = whole ? whole_steps : 0; s < steps; ++s) {
      for (int64_t i = j; i < j + width; ++i) {
        to[s * padded + i] = i < columns ? from[i * p.b_column + s] : T(0);
      }
    }
  }
}

// Some rows and at most a panel of columns of c, and a block of steps.
struct product_part {
  int64_t row, rows;
  int64_t column, columns;
  int64_t step, steps;
};

template <class T>
PYREC_INLINE void multiply_part(const product_args<T>& p, const product_part& part, T* packed, T* edge) {
  const int64_t padded = rounded_up(part.columns, simd<T>::width);
  const bool whole = padded == part.columns;
  int64_t b_stride = padded;
  const bool packs = !whole || part.rows > product_rows_at_once || p.b_column != 1;
  if (!packs) {
    b_stride = p.b_step;
  } else if (p.b_column == 1) {
    pack_rows(p, part.step, part.steps, part.column, part.columns, packed, padded);
  } else {
    pack_columns(p, part.step, part.steps, part.column, part.columns, packed, padded);
  }
  T* c = p.c + part.row * p.columns + part.column;
  multiply<T>({.a = p.a + part.row * p.a_row + part.step * p.a_step,
               .a_row = p.a_row,
               .a_step = p.a_step,
               .b = packs ? packed : p.b + part.step * p.b_step + part.column,
               .b_stride = b_stride,
               .c = whole ? c : edge,
               .c_stride = whole ? p.columns : padded,
               .rows = part.rows,
               .steps = part.steps,
               .columns = padded,
               .accumulate = part.step > 0});
  if (whole || part.step + part.steps < p.steps) return;
  for (int64_t i = 0; i < part.rows; ++i) {
    for (int64_t j = 0; j < part.columns; ++j) c[i * p.columns + j] = edge[i * padded + j];
  }
}

// c^T = b^T a^T, for a c of one column, whose numbers lie as those of a row do.
template <class T>
product_args<T> transposed(const product_args<T>& p) {
  product_args<T> swapped = p;
  swapped.a = p.b;
  swapped.a_row = p.b_column;
  swapped.a_step = p.b_step;
  swapped.b = p.a;
  swapped.b_step = p.a_step;
  swapped.b_column = p.a_row;
  swapped.rows = 1;
  swapped.columns = p.rows;
  return swapped;
}

template <class T>
void multiply_matrices(const product_args<T>& given) {
  if (given.rows == 0 || given.columns == 0) return;
  const product_args<T> p = given.columns == 1 ? transposed(given) : given;
  const product_cut cut = cut_product(p);
  const int64_t columns_of_task = cut.panels * product_panel_columns<T>;
  const int64_t column_tasks = ceil_div(p.columns, columns_of_task);
  const int64_t row_tasks = ceil_div(p.rows, cut.rows);
  parallel_for_workers(row_tasks * column_tasks, p.num_workers, [&](int64_t task, int worker) {
    T* packed =
        static_cast<T*>(p.scratch) + worker * (product_scratch_bytes / static_cast<int64_t>(sizeof(T)));
    T* edge = packed + product_block_steps * product_panel_columns<T>;
    const int64_t first = task / column_tasks * cut.rows;
    const int64_t rows = least(cut.rows, p.rows - first);
    const int64_t from = task % column_tasks * columns_of_task;
    const int64_t to = least(from + columns_of_task, p.columns);
    int64_t step = 0;
    do {
      const int64_t steps = least(product_block_steps, p.steps - step);
      for (int64_t column = from; column < to; column += product_panel_columns<T>) {
        multiply_part<T>(p, {first, rows, column, least(product_panel_columns<T>, to - column), step, steps},
                         packed, edge);
      }
      step += product_block_steps;
    } while (step < p.steps);
  });
}

}  // namespace pyrec::PYREC_ISA
