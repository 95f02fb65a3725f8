#pragma once
#include <cmath>

#include "common/parallel.hpp"
#include "common/scratch_parts.hpp"
#include "debias/block.hpp"
#include "isa/vector_math.hpp"
#include "whole/gram_cpu.hpp"

namespace pyrec::PYREC_ISA {

// Pieces of the work, which do not depend on the number of threads.
constexpr int64_t debias_rows_per_task = 256;
constexpr int64_t gram_rows_per_sum = 512;  // in one sum of T, before it is added in float64
constexpr int64_t gram_tasks = 32;
constexpr int64_t serial_work = 20000;  // pairs and rows of a block that other threads are not woken for

// What the observed pairs of a task add up to.
struct debias_sums {
  double label[2];     // dL_U/dphi_y
  double observed[2];  // dL_U/dpsi_o
  double imputed[3];   // dL_U/dm
  double loss;
};

template <class T>
struct debias_grams {
  T* users;       // (dim + 2, stride) S_A
  T* items;       // S_C
  T* user_steps;  // T_A
  T* item_steps;  // T_C
};

template <class T>
struct debias_scratch {
  T* moved_users;  // (1 + num_uniform_users, stride) theta', by slot
  T* moved_items;
  T* user_steps;  // likewise v, h; zeros in slot 0
  T* item_steps;
  T* next_items;      // (num_items, stride) of the block
  T* score;           // (num_pairs,) x, from the block's first entry on; likewise
  T* slope;           // dL_T/dx
  T* by_pair;         // w1 dL_U/dw1 / 5
  T* by_whole;        // the pair's correction of w2 dL_U/dw2 / 5
  T* gradient;        // (num_parameters,)
  double* positions;  // (tasks, num_positions) dL_U/dphi_p
  debias_sums* sums;  // (tasks,)
  debias_grams<T> grams;
  double* totals;  // (gram_tasks, dim + 2, stride)
  T* partial;      // likewise
  T* packed;       // (gram_tasks, 2, gram_rows, stride)
};

template <class T>
PYREC_INLINE debias_scratch<T> lay_out(const debias_args<T>& a, buffer_parts& parts) {
  const int64_t matrix = (a.dim + 2) * a.stride;
  const int64_t users = a.users_per_block < a.num_users ? a.users_per_block : a.num_users;
  const int64_t tasks = ceil_div(users, debias_rows_per_task);
  debias_scratch<T> s{};
  s.moved_users = parts.take<T>((1 + a.num_uniform_users) * a.stride);
  s.moved_items = parts.take<T>((1 + a.num_uniform_items) * a.stride);
  s.user_steps = parts.take<T>((1 + a.num_uniform_users) * a.stride);
  s.item_steps = parts.take<T>((1 + a.num_uniform_items) * a.stride);
  s.next_items = parts.take<T>(a.num_items * a.stride);
  s.score = parts.take<T>(a.num_pairs);
  s.slope = parts.take<T>(a.num_pairs);
  s.by_pair = parts.take<T>(a.num_pairs);
  s.by_whole = parts.take<T>(a.num_pairs);
  s.gradient = parts.take<T>(a.offset[debias_parts]);
  s.positions = parts.take<double>(tasks * a.num_positions);
  s.sums = parts.take<debias_sums>(tasks);
  s.grams = {parts.take<T>(matrix), parts.take<T>(matrix), parts.take<T>(matrix), parts.take<T>(matrix)};
  s.totals = parts.take<double>(gram_tasks * matrix);
  s.partial = parts.take<T>(gram_tasks * matrix);
  s.packed = parts.take<T>(gram_tasks * 2 * gram_rows * a.stride);
  return s;
}

template <class Body>
PYREC_INLINE void ranges(bool serial, int64_t count, int64_t per, const Body& body) {
  if (!serial) return parallel_ranges(count, per, body);
  for (int64_t first = 0; first < count; first += per) body(first, first + per < count ? first + per : count);
}

template <class T>
PYREC_INLINE void zero(T* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = T(0);
}

template <class T>
PYREC_INLINE void copy(const T* from, T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

// A block with what its steps work on.
template <class T>
struct cpu_block : debias_block<T> {
  debias_scratch<T> s;
  int64_t first_entry;
  bool serial;
};

template <class T>
PYREC_INLINE cpu_block<T> cpu_block_of(const debias_args<T>& a, const debias_scratch<T>& s, int64_t number) {
  const debias_block<T> b = debias_block_of(a, number);
  const int64_t entries = b.user_start[b.users] - b.user_start[0];
  return {b, s, b.user_start[0], entries + b.users + b.items < serial_work};
}

// sum = the sum of outer products over rows; pack(row, left, right) writes two rows, or says that there are none.
template <class T, class Pack>
PYREC_INLINE void outer_sum(const cpu_block<T>& b, int64_t count, T* sum, const Pack& pack) {
  const debias_args<T>& a = b.a;
  const int64_t dim = a.dim + 2, matrix = dim * a.stride;
  const int64_t per = rounded_up(ceil_div(count, gram_tasks), gram_rows_per_sum);
  ranges(b.serial, count, per, [&](int64_t first, int64_t last) __attribute__((always_inline)) {
    const int64_t task = first / per;
    double* total = b.s.totals + task * matrix;
    T* partial = b.s.partial + task * matrix;
    T* left = b.s.packed + task * 2 * gram_rows * a.stride;
    T* right = left + gram_rows * a.stride;
    zero(total, matrix);
    for (int64_t begin = first; begin < last; begin += gram_rows_per_sum) {
      const int64_t end = begin + gram_rows_per_sum < last ? begin + gram_rows_per_sum : last;
      zero(partial, matrix);
      int64_t packed = 0;
      for (int64_t r = begin; r < end; ++r) {
        packed += pack(r, left + packed * a.stride, right + packed * a.stride);
        if (packed < gram_rows && r + 1 < end) continue;
        add_outer(left, right, packed, dim, a.stride, partial);
        packed = 0;
      }
      for (int64_t i = 0; i < matrix; ++i) total[i] += static_cast<double>(partial[i]);
    }
  });
  for (int64_t i = 0; i < matrix; ++i) {
    double total = 0;
    for (int64_t task = 0; task < ceil_div(count, per); ++task) total += b.s.totals[task * matrix + i];
    sum[i] = static_cast<T>(total);
  }
}

template <class T>
PYREC_INLINE void scale_row(T factor, const T* from, T* to, int64_t stride) {
  for (int64_t c = 0; c < stride; c += simd<T>::width) store(to + c, broadcast(factor) * load(from + c));
}

// c' = c - (0, 0, m_0).
template <class T>
PYREC_INLINE void shift_row(const cpu_block<T>& b, int64_t i, T* to) {
  copy(b.item_row(i), to, b.a.stride);
  to[b.a.dim + 1] -= b.missing();
}

// S_A and S_C.
template <class T>
PYREC_INLINE void sum_grams(const cpu_block<T>& b) {
  const int64_t stride = b.a.stride;
  outer_sum(b, b.users, b.s.grams.users, [&](int64_t r, T* left, T* right) __attribute__((always_inline)) {
    const int64_t u = b.user[r];
    copy(b.user_row(u), right, stride);
    scale_row(b.part(whole_user)[u], right, left, stride);
    return true;
  });
  outer_sum(b, b.items, b.s.grams.items, [&](int64_t r, T* left, T* right) __attribute__((always_inline)) {
    const int64_t i = b.item[r];
    shift_row(b, i, right);
    scale_row(b.part(whole_item)[i], right, left, stride);
    return true;
  });
}

// T_A and T_C.
template <class T>
PYREC_INLINE void sum_step_grams(const cpu_block<T>& b) {
  const int64_t stride = b.a.stride;
  outer_sum(b, b.users, b.s.grams.user_steps,
            [&](int64_t r, T* left, T* right) __attribute__((always_inline)) {
              const int64_t u = b.user[r], slot = b.a.user_slot[u];
              if (slot == 0) return false;
              scale_row(b.part(whole_user)[u], b.user_row(u), left, stride);
              copy(b.s.user_steps + slot * stride, right, stride);
              return true;
            });
  outer_sum(b, b.items, b.s.grams.item_steps,
            [&](int64_t r, T* left, T* right) __attribute__((always_inline)) {
              const int64_t i = b.item[r], slot = b.a.item_slot[i];
              if (slot == 0) return false;
              shift_row(b, i, right);
              scale_row(b.part(whole_item)[i], right, left, stride);
              copy(b.s.item_steps + slot * stride, right, stride);
              return true;
            });
}

// <A, B> of two matrices.
template <class T>
PYREC_INLINE double inner(const debias_args<T>& a, const T* one, const T* other) {
  double total = 0;
  for (int64_t i = 0; i < (a.dim + 2) * a.stride; ++i) {
    total += static_cast<double>(one[i]) * static_cast<double>(other[i]);
  }
  return total;
}

// The products of `row` and up to a vector's width of others, from entry `first` on.
template <class T, class Rows>
PYREC_INLINE vec<T> products(const T* row, const Rows& rows, int64_t first, int64_t count, int64_t stride) {
  vec<T> lanes[simd<T>::width];
  for (int i = 0; i < simd<T>::width; ++i) {
    lanes[i] = i < count ? product_lanes(row, rows(first + i), stride) : vec<T>{};
  }
  return sum_lanes<T>(lanes);
}

// sum += sum of factor(e) row(e) over entries [first, last), Vectors vectors of them from column c on.
template <int Vectors, class T, class Rows, class Factors>
PYREC_INLINE void add_columns(const Rows& rows, const Factors& factors, int64_t first, int64_t last,
                              int64_t c, T* sum) {
  constexpr int width = simd<T>::width;
  vec<T> total[Vectors];
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) total[v] = load(sum + c + v * width);
  for (int64_t e = first; e < last; ++e) {
    const vec<T> factor = broadcast(factors(e));
    const T* row = rows(e) + c;
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) total[v] = multiply_add(factor, load(row + v * width), total[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) store(sum + c + v * width, total[v]);
}

template <class T, class Rows, class Factors>
PYREC_INLINE void add_entries(const Rows& rows, const Factors& factors, int64_t first, int64_t last,
                              int64_t stride, T* sum) {
  constexpr int width = simd<T>::width;
  constexpr int64_t entries = 64;  // whose rows are read again for the next columns
  for (int64_t begin = first; begin < last; begin += entries) {
    const int64_t end = begin + entries < last ? begin + entries : last;
    int64_t c = 0;
    for (; c + 5 * width <= stride; c += 5 * width) add_columns<5>(rows, factors, begin, end, c, sum);
    for (; c + 2 * width <= stride; c += 2 * width) add_columns<2>(rows, factors, begin, end, c, sum);
    for (; c < stride; c += width) add_columns<1>(rows, factors, begin, end, c, sum);
  }
}

// grad += lambda gamma_0 2 alpha S row + reg row of the vector's own numbers.
template <class T>
PYREC_INLINE void add_whole(const cpu_block<T>& b, T factor, const T* gram_row, const T* row, T* grad) {
  const debias_args<T>& a = b.a;
  add_scaled(2 * static_cast<T>(a.lambda) * b.gamma(0) * factor, gram_row, grad, a.stride);
  const T reg = static_cast<T>(a.reg);
  for (int64_t c = 0; c < a.dim; ++c) grad[c] = multiply_add(reg, row[c], grad[c]);
}

// The gradient of L_T in a user's row, (stride,); `bias` is where the row's own bias lies, the other one is no parameter.
template <class T>
PYREC_INLINE void user_gradient(const cpu_block<T>& b, int64_t r, T* gram_row, T* grad) {
  const debias_args<T>& a = b.a;
  const int64_t u = b.user[r];
  zero(grad, a.stride);
  add_entries([&](int64_t e) { return b.item_row(a.entry_item[e]); },
              [&](int64_t e) { return b.s.slope[e - b.first_entry]; }, b.user_start[r], b.user_start[r + 1],
              a.stride, grad);
  const T* const rows[1] = {b.user_row(u)};
  multiply_rows(rows, b.s.grams.items, a.dim + 2, a.stride, gram_row);
  add_whole(b, b.part(whole_user)[u], gram_row, rows[0], grad);
  grad[a.dim + 1] = 0;
}

template <class T>
PYREC_INLINE void item_gradient(const cpu_block<T>& b, int64_t r, T* shifted, T* gram_row, T* grad) {
  const debias_args<T>& a = b.a;
  const int64_t i = b.item[r];
  zero(grad, a.stride);
  add_entries([&](int64_t e) { return b.user_row(a.other_user[e]); },
              [&](int64_t e) { return b.s.slope[a.other_entry[e] - b.first_entry]; }, b.item_start[r],
              b.item_start[r + 1], a.stride, grad);
  shift_row(b, i, shifted);
  const T* const rows[1] = {shifted};
  multiply_rows(rows, b.s.grams.users, a.dim + 2, a.stride, gram_row);
  add_whole(b, b.part(whole_item)[i], gram_row, rows[0], grad);
  grad[a.dim] = 0;
}

// Rows on the stack; the binding bounds the stride.
constexpr int64_t largest_stride = 1024;

template <class T>
struct alignas(64) row_buffer {
  T values[largest_stride];
};

// x and dL_T/dx of the observed pairs, and theta' of those who are in a uniform pair.
template <class T>
PYREC_INLINE void virtual_step(const cpu_block<T>& b) {
  const debias_args<T>& a = b.a;
  const debias_scratch<T>& s = b.s;
  const T eta = static_cast<T>(a.eta);
  ranges(b.serial, b.users, debias_rows_per_task,
         [&](int64_t first, int64_t last) __attribute__((always_inline)) {
           row_buffer<T> gram_row, grad;
           for (int64_t r = first; r < last; ++r) {
             const int64_t u = b.user[r];
             const int64_t end = b.user_start[r + 1];
             const auto rows = [&](int64_t e) { return b.item_row(a.entry_item[e]); };
             for (int64_t e = b.user_start[r]; e < end; e += simd<T>::width) {
               const int64_t count = end - e < simd<T>::width ? end - e : simd<T>::width;
               const vec<T> x = products(b.user_row(u), rows, e, count, a.stride);
               for (int64_t j = 0; j < count; ++j) {
                 s.score[e - b.first_entry + j] = x[j];
                 s.slope[e - b.first_entry + j] = debias_slope(b, debias_pair_of(b, u, e + j, x[j]));
               }
             }
             const int64_t slot = a.user_slot[u];
             if (slot == 0) continue;
             user_gradient(b, r, gram_row.values, grad.values);
             T* moved = s.moved_users + slot * a.stride;
             copy(b.user_row(u), moved, a.stride);
             add_scaled(-eta, grad.values, moved, a.stride);
           }
         });
  ranges(b.serial, b.items, debias_rows_per_task,
         [&](int64_t first, int64_t last) __attribute__((always_inline)) {
           row_buffer<T> shifted, gram_row, grad;
           for (int64_t r = first; r < last; ++r) {
             const int64_t i = b.item[r], slot = a.item_slot[i];
             if (slot == 0) continue;
             item_gradient(b, r, shifted.values, gram_row.values, grad.values);
             T* moved = s.moved_items + slot * a.stride;
             copy(b.item_row(i), moved, a.stride);
             add_scaled(-eta, grad.values, moved, a.stride);
           }
         });
}

// The rows of uniform pairs that are not in the block stay as they are.
template <class T>
PYREC_INLINE void place_others(const cpu_block<T>& b) {
  const debias_args<T>& a = b.a;
  for (int64_t k = 0; k < a.num_uniform_users; ++k) {
    const int64_t u = a.uniform_users[k];
    if (!b.has_user(u)) copy(b.user_row(u), b.s.moved_users + (k + 1) * a.stride, a.stride);
  }
  for (int64_t k = 0; k < a.num_uniform_items; ++k) {
    const int64_t i = a.uniform_items[k];
    if (!b.has_item(i)) copy(b.item_row(i), b.s.moved_items + (k + 1) * a.stride, a.stride);
  }
}

// grad L_U(theta') by one side's rows: of the rows that the block moves.
template <class T, class Moves>
PYREC_INLINE void uniform_side(const cpu_block<T>& b, int64_t count, const Moves& moves, const int32_t* start,
                               const int32_t* slots, const int32_t* label, const T* own, const T* others,
                               int64_t fixed, T* steps) {
  const int64_t stride = b.a.stride;
  constexpr int64_t rows_per_task = 512;
  ranges(b.serial, count, rows_per_task, [&](int64_t first, int64_t last) __attribute__((always_inline)) {
    for (int64_t k = first; k < last; ++k) {
      T* step = steps + (k + 1) * stride;
      zero(step, stride);
      if (!moves(k)) continue;
      for (int64_t e = start[k]; e < start[k + 1]; ++e) {
        const T* other = others + int64_t{slots[e]} * stride;
        const T x = row_product(own + (k + 1) * stride, other, stride);
        add_scaled(2 * (x - static_cast<T>(label[e])), other, step, stride);
      }
      step[fixed] = 0;
    }
  });
}

template <class T>
PYREC_INLINE void uniform_gradient(const cpu_block<T>& b) {
  const debias_args<T>& a = b.a;
  const debias_scratch<T>& s = b.s;
  place_others(b);
  uniform_side(
      b, a.num_uniform_users, [&](int64_t k) { return b.has_user(a.uniform_users[k]); }, a.uniform_start,
      a.uniform_item, a.uniform_label, s.moved_users, s.moved_items, a.dim + 1, s.user_steps);
  uniform_side(
      b, a.num_uniform_items, [&](int64_t k) { return b.has_item(a.uniform_items[k]); }, a.uniform_by_item,
      a.uniform_user, a.uniform_item_label, s.moved_items, s.moved_users, a.dim, s.item_steps);
}

// The part of the observed pairs in the gradients of phi, psi and chi; those of users are complete.
template <class T>
PYREC_INLINE void observed_gradient(const cpu_block<T>& b) {
  const debias_args<T>& a = b.a;
  const debias_scratch<T>& s = b.s;
  T* by_user = s.gradient + a.offset[pair_user];
  T* by_whole_user = s.gradient + a.offset[whole_user];
  const T eta = static_cast<T>(a.eta), lambda = static_cast<T>(a.lambda);
  const bool of_rows = a.learned[whole_user];
  ranges(b.serial, b.users, debias_rows_per_task,
         [&](int64_t first, int64_t last) __attribute__((always_inline)) {
           const int64_t task = first / debias_rows_per_task;
           debias_sums sums{};
           double* positions = s.positions + task * a.num_positions;
           zero(positions, a.num_positions);
           row_buffer<T> product_row;
           for (int64_t r = first; r < last; ++r) {
             const int64_t u = b.user[r], slot = a.user_slot[u], end = b.user_start[r + 1];
             const T* row = b.user_row(u);
             const T* step = s.user_steps + slot * a.stride;
             T of_pairs = 0, of_whole = 0;
             for (int64_t e = b.user_start[r]; e < end; e += simd<T>::width) {
               const int64_t count = end - e < simd<T>::width ? end - e : simd<T>::width;
               vec<T> agree = products(
                   row,
                   [&](int64_t k) { return s.item_steps + int64_t{a.item_slot[a.entry_item[k]]} * a.stride; },
                   e, count, a.stride);
               if (slot != 0) {
                 agree += products(
                     step, [&](int64_t k) { return b.item_row(a.entry_item[k]); }, e, count, a.stride);
               }
               for (int64_t j = 0; j < count; ++j) {
                 const int64_t at = e - b.first_entry + j;
                 const debias_pair<T> k = debias_pair_of(b, u, e + j, s.score[at]);
                 const debias_pair_gradient<T> grad = debias_gradient(b, k, agree[j]);
                 s.by_pair[at] = grad.by_pair;
                 s.by_whole[at] = grad.by_shown + grad.by_missing;
                 of_pairs += grad.by_pair;
                 of_whole += grad.by_shown + grad.by_missing;
                 sums.label[k.label] += static_cast<double>(grad.by_pair);
                 if (a.num_positions > 0) positions[k.position] += static_cast<double>(grad.by_pair);
                 sums.observed[0] += static_cast<double>(grad.by_missing);
                 sums.observed[1] += static_cast<double>(grad.by_shown);
                 sums.imputed[0] += static_cast<double>(grad.missing);
                 sums.imputed[1 + k.label] += static_cast<double>(grad.shown);
               }
             }
             by_user[u] = of_pairs;
             if (!of_rows) continue;
             const T* const rows[1] = {row};
             multiply_rows(rows, s.grams.item_steps, a.dim + 2, a.stride, product_row.values);
             T whole = row_product(product_row.values, row, a.stride);
             if (slot != 0) {
               multiply_rows(rows, s.grams.items, a.dim + 2, a.stride, product_row.values);
               whole += row_product(product_row.values, step, a.stride);
             }
             by_whole_user[u] = of_whole - 2 * eta * lambda * b.gamma(0) * b.part(whole_user)[u] / 5 * whole;
           }
           s.sums[task] = sums;
         });
}

template <class T>
PYREC_INLINE void item_sums(const cpu_block<T>& b) {
  const debias_args<T>& a = b.a;
  const debias_scratch<T>& s = b.s;
  T* by_item = s.gradient + a.offset[pair_item];
  T* by_whole_item = s.gradient + a.offset[whole_item];
  const T factor = -2 * static_cast<T>(a.eta) * static_cast<T>(a.lambda) * b.gamma(0) / 5;
  ranges(b.serial, b.items, debias_rows_per_task,
         [&](int64_t first, int64_t last) __attribute__((always_inline)) {
           row_buffer<T> shifted, product_row;
           for (int64_t r = first; r < last; ++r) {
             const int64_t i = b.item[r], slot = a.item_slot[i];
             T of_pairs = 0, of_whole = 0;
             for (int64_t e = b.item_start[r]; e < b.item_start[r + 1]; ++e) {
               const int64_t at = a.other_entry[e] - b.first_entry;
               of_pairs += s.by_pair[at];
               of_whole += s.by_whole[at];
             }
             by_item[i] = of_pairs;
             shift_row(b, i, shifted.values);
             const T* const rows[1] = {shifted.values};
             multiply_rows(rows, s.grams.user_steps, a.dim + 2, a.stride, product_row.values);
             T whole = row_product(product_row.values, shifted.values, a.stride);
             if (slot != 0) {
               multiply_rows(rows, s.grams.users, a.dim + 2, a.stride, product_row.values);
               whole += row_product(product_row.values, s.item_steps + slot * a.stride, a.stride);
             }
             by_whole_item[i] = of_whole + factor * b.part(whole_item)[i] * whole;
           }
         });
}

// sum_all alpha beta s, from sums over rows: (sum alpha v) . (sum beta c') + (sum alpha a) . (sum beta h).
template <class T>
PYREC_INLINE double agreement_of_all(const cpu_block<T>& b) {
  const debias_args<T>& a = b.a;
  // a and c' have a 1 at dim + 1 and dim: their columns of the Gram matrices are the sums.
  double total = 0;
  for (int64_t c = 0; c < a.dim + 2; ++c) {
    const int64_t of_user = (a.dim + 1) * a.stride + c, of_item = a.dim * a.stride + c;
    total +=
        static_cast<double>(b.s.grams.user_steps[of_user]) * static_cast<double>(b.s.grams.items[of_item]);
    total +=
        static_cast<double>(b.s.grams.users[of_user]) * static_cast<double>(b.s.grams.item_steps[of_item]);
  }
  return total;
}

// The gradients of the few: labels, positions, observed or not, imputed labels.
template <class T>
PYREC_INLINE void few_gradients(const cpu_block<T>& b) {
  const debias_args<T>& a = b.a;
  const debias_scratch<T>& s = b.s;
  debias_sums all{};
  T* const positions = s.gradient + a.offset[pair_position];
  for (int64_t task = 0; task < ceil_div(b.users, debias_rows_per_task); ++task) {
    const debias_sums& one = s.sums[task];
    for (int j = 0; j < 2; ++j) all.label[j] += one.label[j];
    for (int j = 0; j < 2; ++j) all.observed[j] += one.observed[j];
    for (int j = 0; j < 3; ++j) all.imputed[j] += one.imputed[j];
    for (int64_t p = 0; p < a.num_positions; ++p)
      positions[p] += static_cast<T>(s.positions[task * a.num_positions + p]);
  }
  const debias_grams<T>& g = s.grams;
  const double whole = 2 * a.eta * a.lambda * static_cast<double>(b.gamma(0));
  all.observed[0] -= whole / 5 * (inner(a, g.user_steps, g.items) + inner(a, g.users, g.item_steps));
  all.imputed[0] += whole * agreement_of_all(b);
  for (int j = 0; j < 2; ++j) s.gradient[a.offset[pair_label] + j] = static_cast<T>(all.label[j]);
  for (int j = 0; j < 2; ++j) s.gradient[a.offset[whole_observed] + j] = static_cast<T>(all.observed[j]);
  for (int j = 0; j < 3; ++j) {
    const double m = static_cast<double>(b.part(imputed)[j]);
    s.gradient[a.offset[imputed] + j] = static_cast<T>(all.imputed[j] * (1 - m * m));
  }
}

template <class T>
PYREC_INLINE vec<T> clamp(vec<T> value, T bound) {
  const vec<T> high = broadcast(bound), low = broadcast(-bound);
  value = value > high ? high : value;
  return value < low ? low : value;
}

// A step of Adam on parameters [first, last), and their factors.
template <class T>
PYREC_INLINE void adam(const debias_args<T>& a, const T* gradient, int64_t first, int64_t last,
                       const debias_adam& by, bool tangent) {
  constexpr T beta1 = T(0.9), beta2 = T(0.999), epsilon = T(1e-8);
  const T rate = static_cast<T>(by.rate * by.rate_scale), root = static_cast<T>(by.root_scale);
  const T decay = static_cast<T>(by.decay), bound = static_cast<T>(a.bound);
  const auto step = [&](int64_t at, const auto& read, const auto& write) __attribute__((always_inline)) {
    vec<T> value = read(a.parameter + at);
    const vec<T> grad = multiply_add(broadcast(decay), value, read(gradient + at));
    const vec<T> moment = read(a.moment + at);
    const vec<T> next = multiply_add(broadcast(1 - beta1), grad - moment, moment);
    const vec<T> square =
        multiply_add(broadcast(1 - beta2) * grad, grad, broadcast(beta2) * read(a.square + at));
    const vec<T> size = multiply_add(square_root<T>(square), broadcast(root), broadcast(epsilon));
    value = value - broadcast(rate) * next / size;
    if (!tangent) value = clamp<T>(value, bound);
    write(a.parameter + at, value);
    write(a.moment + at, next);
    write(a.square + at, square);
    if (tangent) return write(a.factor + at, tanh<T>(value));
    const exp_parts<T> e = split_exp<T>(clamp<T>(value / broadcast(T(5)), T(80)));
    write(a.factor + at, multiply_add(e.scale, e.series, e.scale));
  };
  int64_t at = first;
  for (; at + simd<T>::width <= last; at += simd<T>::width) {
    step(at, [](const T* from) { return load(from); }, [](T* to, vec<T> value) { store(to, value); });
  }
  const int tail = static_cast<int>(last - at);
  if (tail == 0) return;
  step(
      at, [=](const T* from) { return load_partial(from, tail); },
      [=](T* to, vec<T> value) { store_partial(to, value, tail); });
}

template <class T>
PYREC_INLINE void learn(const cpu_block<T>& b, int64_t block) {
  const debias_args<T>& a = b.a;
  constexpr int64_t per = 4096;
  for (int part = 0; part < debias_parts; ++part) {
    if (!a.learned[part]) continue;
    const double t = static_cast<double>(a.steps[part] + block - a.first_block + 1);
    const debias_adam by{a.rate[part], a.decay[part], 1 / (1 - __builtin_pow(0.9, t)),
                         1 / __builtin_sqrt(1 - __builtin_pow(0.999, t))};
    const int64_t begin = a.offset[part];
    ranges(b.serial, a.offset[part + 1] - begin, per,
           [&](int64_t first, int64_t last) __attribute__((always_inline)) {
             adam(a, b.s.gradient, begin + first, begin + last, by, part == imputed);
           });
  }
}

// theta <- theta - eta grad L_T(theta), with the scores that are there.
template <class T>
PYREC_INLINE void real_step(const cpu_block<T>& b) {
  const debias_args<T>& a = b.a;
  const debias_scratch<T>& s = b.s;
  const T eta = static_cast<T>(a.eta);
  ranges(b.serial, b.users, debias_rows_per_task,
         [&](int64_t first, int64_t last) __attribute__((always_inline)) {
           double loss = 0;
           for (int64_t r = first; r < last; ++r) {
             double of_row = 0;
             for (int64_t e = b.user_start[r]; e < b.user_start[r + 1]; ++e) {
               const debias_pair<T> k = debias_pair_of(b, b.user[r], e, s.score[e - b.first_entry]);
               s.slope[e - b.first_entry] = debias_slope(b, k);
               of_row += static_cast<double>(debias_loss(b, k));
             }
             const T* row = b.user_row(b.user[r]);
             T size = 0;
             for (int64_t c = 0; c < a.dim; ++c) size += row[c] * row[c];
             loss += of_row + a.reg / 2 * static_cast<double>(size);
           }
           s.sums[first / debias_rows_per_task].loss = loss;
         });
  ranges(b.serial, b.items, debias_rows_per_task,
         [&](int64_t first, int64_t last) __attribute__((always_inline)) {
           row_buffer<T> shifted, gram_row, grad;
           for (int64_t r = first; r < last; ++r) {
             item_gradient(b, r, shifted.values, gram_row.values, grad.values);
             T* next = s.next_items + r * a.stride;
             copy(b.item_row(b.item[r]), next, a.stride);
             add_scaled(-eta, grad.values, next, a.stride);
           }
         });
  ranges(b.serial, b.users, debias_rows_per_task,
         [&](int64_t first, int64_t last) __attribute__((always_inline)) {
           row_buffer<T> gram_row, grad;
           for (int64_t r = first; r < last; ++r) {
             user_gradient(b, r, gram_row.values, grad.values);
             add_scaled(-eta, grad.values, a.users + b.user[r] * a.stride, a.stride);
           }
         });
  double loss = a.lambda * static_cast<double>(b.gamma(0)) * inner(a, s.grams.users, s.grams.items);
  for (int64_t task = 0; task < ceil_div(b.users, debias_rows_per_task); ++task) loss += s.sums[task].loss;
  for (int64_t r = 0; r < b.items; ++r) {
    const T* row = b.item_row(b.item[r]);
    T size = 0;
    for (int64_t c = 0; c < a.dim; ++c) size += row[c] * row[c];
    loss += a.reg / 2 * static_cast<double>(size);
    copy(s.next_items + r * a.stride, a.items + b.item[r] * a.stride, a.stride);
  }
  *a.loss += loss;
}

template <class T>
void debias(const debias_args<T>& a) {
  buffer_parts parts(a.scratch, 64);
  const debias_scratch<T> s = lay_out(a, parts);
  zero(s.user_steps, a.stride);
  zero(s.item_steps, a.stride);
  for (int64_t number = a.first_block; number < a.last_block; ++number) {
    const cpu_block<T> b = cpu_block_of(a, s, number);
    zero(s.gradient, a.offset[debias_parts]);
    sum_grams(b);
    virtual_step(b);
    uniform_gradient(b);
    sum_step_grams(b);
    observed_gradient(b);
    if (a.learned[pair_item] || a.learned[whole_item]) item_sums(b);
    few_gradients(b);
    learn(b, number);
    sum_grams(b);
    real_step(b);
  }
}

template <class T>
int64_t debias_scratch_bytes(const debias_args<T>& a) {
  buffer_parts parts(nullptr, 64);
  lay_out(a, parts);
  return parts.bytes();
}

}  // namespace pyrec::PYREC_ISA
