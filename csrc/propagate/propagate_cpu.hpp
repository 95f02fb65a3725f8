#pragma once
#include "common/parallel.hpp"
#include "isa/simd.hpp"
#include "propagate/propagate.hpp"

namespace pyrec::PYREC_ISA {

// How edge e weighs its source row. With `kept` a number of any of the three kinds stands beside each edge
// that dropout keeps: one variant in place of three.
enum class edge_factor { one, source_scale, weight, kept };

// A row's accumulators must stay in registers: 32 vector registers with AVX-512, 16 before it.
constexpr int max_vectors = PYREC_VECTOR_BYTES == 64 ? 16 : 8;
constexpr int max_kept_vectors = 8;
// Edges whose rows are fetched ahead: a memory's latency at the least, what is worth it at the most.
constexpr int64_t least_ahead = 8;
constexpr int64_t most_ahead = 64;
constexpr int64_t rows_per_task = 64;  // chosen rows: at gowalla's 23 edges a row, some 10 µs of work
constexpr int64_t max_compressed =
    256;  // edges whose rows and factors, 3 KB at most, lie on the stack at a time

// Edges of one row: their rows of x, with a weight each where the factor is `weight` or `kept`.
template <class T>
struct edge_span {
  const int32_t* source;
  const T* weight;
  int64_t count;
  int64_t ahead;    // the distance in edges of the row that is fetched meanwhile
  int64_t fetched;  // edges from the first on for which there is one to fetch
};

// Columns [column, column + vectors * width) of a row; the last vector has `tail` lanes when Partial. A row is
// given by its first number in the block.
template <class T, int Vectors, bool Partial>
struct column_block {
  static constexpr int width = simd<T>::width;
  static constexpr int paired = Partial ? (Vectors - 1) / 2 * 2 : Vectors / 2 * 2;
  int64_t column;
  int tail;

  template <class S>
  PYREC_INLINE vec<T> read(const S* row, int v) const {
    const S* from = row + v * width;
    if (Partial && v == Vectors - 1) return load_partial(from, tail);
    return load(from);
  }
  template <class S>
  PYREC_INLINE void write(S* row, int v, vec<T> value) const {
    S* to = row + v * width;
    if (Partial && v == Vectors - 1) return store_partial(to, value, tail);
    store(to, value);
  }
  // acc = add(acc, row). Of bfloat16 pairs of vectors hold even and odd columns until `in_order`.
  template <class Add>
  PYREC_INLINE void accumulate(const T* row, const Add& add, vec<T> (&acc)[Vectors]) const {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) acc[v] = add(acc[v], read(row, v));
  }
  template <class Add>
  PYREC_INLINE void accumulate(const bfloat16* row, const Add& add, vec<T> (&acc)[Vectors]) const {
    for (int v = 0; v < paired; v += 2) {
      vec<T> even, odd;
      load_apart(row + v * width, even, odd);
      acc[v] = add(acc[v], even);
      acc[v + 1] = add(acc[v + 1], odd);
    }
    for (int v = paired; v < Vectors; ++v) acc[v] = add(acc[v], read(row, v));
  }
  PYREC_INLINE void in_order(vec<T> (&acc)[Vectors]) const {
    for (int v = 0; v < paired; v += 2) interleave(acc[v], acc[v + 1]);
  }
  template <class S>
  PYREC_INLINE int64_t edges_ahead(int64_t bytes) const {
    const int64_t edges = bytes / (Vectors * width * static_cast<int64_t>(sizeof(S)));
    return edges < least_ahead ? least_ahead : edges < most_ahead ? edges : most_ahead;
  }
  template <class S>
  PYREC_INLINE void prefetch(const S* row) const {
    constexpr int64_t line = 64 / sizeof(S);
#pragma GCC unroll 16
    for (int64_t at = 0; at < Vectors * width; at += line) __builtin_prefetch(row + at);
  }
};

template <edge_factor Factor, class T, class X, class Out, class Block, int Vectors>
PYREC_INLINE void accumulate(const propagate_args<T, X, Out>& a, const edge_span<T>& edges,
                             const Block& block, vec<T> (&acc)[Vectors]) {
  const X* x = a.x + block.column;
  for (int64_t e = 0; e < edges.count; ++e) {
    if (e < edges.fetched) {
      const int64_t ahead = edges.source[e + edges.ahead];
      block.prefetch(x + ahead * a.dim);
      if constexpr (Factor == edge_factor::source_scale) __builtin_prefetch(a.pre + ahead);
    }
    const X* row = x + int64_t{edges.source[e]} * a.dim;
    if constexpr (Factor == edge_factor::one) {
      block.accumulate(row, [](vec<T> sum, vec<T> value) { return sum + value; }, acc);
    } else {
      const T factor = Factor == edge_factor::source_scale ? a.pre[edges.source[e]] : edges.weight[e];
      const auto add = [factor](vec<T> sum, vec<T> value) {
        return multiply_add(broadcast(factor), value, sum);
      };
      block.accumulate(row, add, acc);
    }
  }
}

// The first sources of a row.
template <class T, class X, class Out, class Block>
PYREC_INLINE void prefetch_row(const propagate_args<T, X, Out>& a, int64_t node, int64_t edges,
                               const Block& block) {
  const int64_t begin = a.indptr[node];
  const int64_t end = a.indptr[node + 1];
  const int64_t last = begin + edges < end ? begin + edges : end;
  for (int64_t e = begin; e < last; ++e) block.prefetch(a.x + int64_t{a.indices[e]} * a.dim + block.column);
}

// The edges whose source has a row of x, a bounded number at a time, without a branch an edge.
template <edge_factor Factor, class T, class X, class Out, class Block, int Vectors>
PYREC_INLINE void accumulate_chosen(const propagate_args<T, X, Out>& a, int64_t begin, int64_t end,
                                    const Block& block, vec<T> (&acc)[Vectors]) {
  int32_t rows[max_compressed];
  T weights[max_compressed];
  for (int64_t start = begin; start < end; start += max_compressed) {
    const int64_t stop = start + max_compressed < end ? start + max_compressed : end;
    int64_t count = 0;
    for (int64_t e = start; e < stop; ++e) {
      const int32_t row = a.x_row[a.indices[e]];
      rows[count] = row;
      if constexpr (Factor == edge_factor::weight) weights[count] = a.weights[e];
      count += row >= 0;
    }
    accumulate<Factor>(a, edge_span<T>{rows, weights, count, 0, 0}, block, acc);
  }
}

// Edges [first, last) of a row, at most max_compressed, that dropout keeps and whose source has a row of x:
// these rows and the factors. Returns their number.
template <class T, class X, class Out>
__attribute__((noinline)) int64_t choose_kept(const propagate_args<T, X, Out>& a, int64_t node, int64_t first,
                                              int64_t last, int32_t* rows, T* factors) {
  uint8_t kept[max_compressed];
  const edge_dropout dropout = a.dropout;
  const uint32_t own = dropout.end(static_cast<int32_t>(node));
  for (int64_t e = first; e < last; ++e) kept[e - first] = dropout.keeps(own, dropout.end(a.indices[e]));
  int64_t count = 0;
  for (int64_t e = first; e < last; ++e) {
    const int32_t source = a.indices[e];
    const int32_t row = a.x_row != nullptr ? a.x_row[source] : source;
    rows[count] = row;
    factors[count] = a.weights != nullptr ? a.weights[e] : a.pre != nullptr ? a.pre[source] : T(1);
    count += kept[e - first] & (row >= 0);
  }
  return count;
}

template <class T, class X, class Out, class Block, int Vectors>
PYREC_INLINE void accumulate_kept(const propagate_args<T, X, Out>& a, int64_t node, int64_t ahead,
                                  const Block& block, vec<T> (&acc)[Vectors]) {
  int32_t rows[max_compressed];
  T factors[max_compressed];
  const int64_t end = a.indptr[node + 1];
  for (int64_t first = a.indptr[node]; first < end; first += max_compressed) {
    const int64_t last = first + max_compressed < end ? first + max_compressed : end;
    const int64_t count = choose_kept(a, node, first, last, rows, factors);
    const edge_span<T> edges{rows, factors, count, ahead, count - ahead};
    accumulate<edge_factor::kept>(a, edges, block, acc);
  }
}

template <class T, class Block>
PYREC_INLINE void take_adam_step(const adam_step<T>& adam, int64_t offset, const Block& block, int v,
                                 vec<T> gradient) {
  T* first = adam.first_moment + offset;
  T* second = adam.second_moment + offset;
  T* parameters = adam.parameters + offset;
  const vec<T> m = multiply_add(broadcast(1 - adam.beta1), gradient, adam.beta1 * block.read(first, v));
  const vec<T> s = multiply_add((1 - adam.beta2) * gradient, gradient, adam.beta2 * block.read(second, v));
  block.write(first, v, m);
  block.write(second, v, s);
  const vec<T> divisor = multiply_add(square_root<T>(s), broadcast(adam.root_scale), broadcast(adam.epsilon));
  block.write(parameters, v, block.read(parameters, v) - adam.step_size * m / divisor);
}

// body(v) for the vectors of a row, one after the other: sums stay in registers.
template <int Vectors, class Body>
PYREC_INLINE void for_vectors(const Body& body) {
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) body(v);
}

// acc is used up.
template <class T, class X, class Out, class Block, int Vectors>
PYREC_INLINE void finish_row(const propagate_args<T, X, Out>& a, int64_t node, int64_t out_row,
                             const Block& block, vec<T> (&acc)[Vectors]) {
  if (a.total != nullptr) {
    T* total = a.total + node * a.dim + block.column;
    const T factor = a.total_alpha * (a.total_scale != nullptr ? a.total_scale[node] : T(1));
    for_vectors<Vectors>([&](int v) __attribute__((always_inline)) {
      block.write(total, v, multiply_add(broadcast(factor), acc[v], block.read(total, v)));
    });
  }
  const T post = a.post != nullptr ? a.post[node] : T(1);
  for_vectors<Vectors>([&](int v) __attribute__((always_inline)) { acc[v] *= broadcast(post); });
  const int64_t add_row = a.add == nullptr ? -1 : a.add_row != nullptr ? a.add_row[node] : node;
  if (add_row >= 0) {
    const T* add = a.add + add_row * a.dim + block.column;
    const T add_scale = a.add_scale != nullptr ? a.add_scale[node] : T(1);
    for_vectors<Vectors>([&](int v) __attribute__((always_inline)) {
      acc[v] = multiply_add(broadcast(add_scale), block.read(add, v), acc[v]);
    });
  }
  if (a.out != nullptr) {
    Out* out = a.out + out_row * a.dim + block.column;
    for_vectors<Vectors>([&](int v) __attribute__((always_inline)) { block.write(out, v, acc[v]); });
  }
  if (!a.half_out && a.adam.parameters != nullptr) {
    for (int v = 0; v < Vectors; ++v) take_adam_step(a.adam, node * a.dim + block.column, block, v, acc[v]);
  }
}

template <edge_factor Factor, int Vectors, bool Partial, class T, class X, class Out>
void propagate_block(const propagate_args<T, X, Out>& a, int64_t first, int64_t last, int64_t column) {
  using Block = column_block<T, Vectors, Partial>;
  const Block block{column, static_cast<int>(a.dim - column - (Vectors - 1) * Block::width)};
  const int64_t ahead = block.template edges_ahead<X>(a.fetch_ahead_bytes);
  vec<T> poison{};  // 0 * v is 0 for a finite v and NaN for any other
  for (int64_t i = first; i < last; ++i) {
    const int64_t node = a.rows != nullptr ? a.rows[i] : i;
    const int64_t begin = a.indptr[node];
    const int64_t end = a.indptr[node + 1];
    vec<T> acc[Vectors] = {};
    if (a.x == nullptr) {
      // nothing to gather: a network without layers
    } else if constexpr (Factor == edge_factor::kept) {
      if (a.x_row == nullptr && i + 1 < last)
        prefetch_row(a, a.rows != nullptr ? a.rows[i + 1] : i + 1, ahead, block);
      accumulate_kept(a, node, ahead, block, acc);
    } else if (!a.half_source && a.x_row != nullptr) {
      accumulate_chosen<Factor>(a, begin, end, block, acc);
    } else {
      // All rows: the edges go on behind this row's. Chosen rows: the next one's are somewhere else.
      if (a.rows != nullptr && i + 1 < last) prefetch_row(a, a.rows[i + 1], ahead, block);
      const int64_t behind = a.rows != nullptr ? end : a.num_edges;
      const T* weights = Factor == edge_factor::weight ? a.weights + begin : nullptr;
      const edge_span<T> edges{a.indices + begin, weights, end - begin, ahead, behind - begin - ahead};
      accumulate<Factor>(a, edges, block, acc);
    }
    if constexpr (propagate_args<T, X, Out>::half_source) block.in_order(acc);
    for_vectors<Vectors>(
        [&](int v) __attribute__((always_inline)) { poison = multiply_add(vec<T>{}, acc[v], poison); });
    finish_row(a, node, i, block, acc);
  }
  for (int lane = 0; lane < Block::width; ++lane) {
    if (poison[lane] != T(0)) __atomic_store_n(a.not_finite, true, __ATOMIC_RELAXED);
  }
}

// All columns of rows [first, last), in blocks of as many vectors as fit the registers.
//
// Problem. A row's sums have to stay in registers from its first edge to its last. So the number of vectors
// must be known to the compiler, but dim is known to the caller alone.
//
// Solution. propagate_block is compiled for each number of vectors, with a last one that is whole or partial.
// propagate_columns finds the one that fits: it starts with the most vectors that registers hold and
//
//   columns left                      calls
//   at most (Vectors - 1) vectors     itself with Vectors - 1: one less is tried until the last is needed
//   fewer than Vectors vectors        propagate_block with a partial last vector, and is done
//   Vectors vectors                   propagate_block with whole vectors, and is done
//   more                              the same, and then itself with the columns behind that block
//
// so that dim 100 on vectors of 16 is one block of seven, the last of 4 lanes, and dim 300 one of 16 and one of
// three.
//
// Usage. propagate_columns<factor, max_vectors>(a, first, last, 0), as propagate_rows does.
//
// It expands to max_vectors x 2 blocks for each factor and each choice of T, X and Out: 496 with AVX-512, 288
// elsewhere, nine tenths of an instruction set's code. Whoever adds a factor or a type pays for it here, which
// is why dropout has one factor for three and at most half the vectors.
template <edge_factor Factor, int Vectors, class T, class X, class Out>
void propagate_columns(const propagate_args<T, X, Out>& a, int64_t first, int64_t last, int64_t column) {
  constexpr int width = simd<T>::width;
  const int64_t left = a.dim - column;
  if constexpr (Vectors > 1) {
    if (left <= (Vectors - 1) * width) {
      return propagate_columns<Factor, Vectors - 1>(a, first, last, column);
    }
  }
  if (left < Vectors * width) return propagate_block<Factor, Vectors, true>(a, first, last, column);
  propagate_block<Factor, Vectors, false>(a, first, last, column);
  if (left > Vectors * width) {
    propagate_columns<Factor, Vectors>(a, first, last, column + Vectors * width);
  }
}

template <class T, class X, class Out>
void propagate_rows(const propagate_args<T, X, Out>& a, int64_t first, int64_t last) {
  if (a.dropout.threshold != 0) {
    return propagate_columns<edge_factor::kept, max_kept_vectors>(a, first, last, 0);
  }
  if (a.weights != nullptr) return propagate_columns<edge_factor::weight, max_vectors>(a, first, last, 0);
  if constexpr (!propagate_args<T, X, Out>::half_source) {
    if (a.pre != nullptr) {
      return propagate_columns<edge_factor::source_scale, max_vectors>(a, first, last, 0);
    }
  }
  propagate_columns<edge_factor::one, max_vectors>(a, first, last, 0);
}

template <class T, class X, class Out>
void propagate_layer(const propagate_args<T, X, Out>& a) {
  if (a.rows == nullptr) {
    return parallel_for(a.num_chunks, [&](int64_t c) { propagate_rows(a, a.chunks[c], a.chunks[c + 1]); });
  }
  parallel_ranges(a.num_rows, rows_per_task,
                  [&](int64_t first, int64_t last) { propagate_rows(a, first, last); });
}

constexpr propagate_kernels propagate_table{
    .layer = {propagate_layer<float>, propagate_layer<double>, propagate_layer<float, float, bfloat16>,
              propagate_layer<float, bfloat16, bfloat16>, propagate_layer<float, bfloat16, float>},
};

}  // namespace pyrec::PYREC_ISA
