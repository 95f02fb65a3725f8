// A warp takes a row, each lane V of its columns, so that a warp's load is one row of x. Its lanes read as
// many edges side by side and pass them round; `in_flight` rows of x are on their way at once.
//
// Long rows: the pieces come first in the same launch, each with its sum into `partial`; a second kernel adds
// a row's pieces in their order. No order of sums depends on which block runs when.
#include "common/cuda_block.cuh"
#include "common/cuda_vector.cuh"
#include "propagate/propagate.hpp"
#include "propagate/take_rows_cuda.cuh"

namespace pyrec::cuda {

namespace {

constexpr int threads = 128;

// As much as registers allow.
template <int V>
constexpr int in_flight = V <= 2 ? 8 : 4;
template <int V, class T>
constexpr int blocks_of_a_processor = V == 8                     ? 5
                                      : V == 4 || sizeof(T) == 8 ? 6
                                                                 : 8;

template <class T>
struct edge {
  int32_t row;  // of x; -1 for none
  T factor;
};

// What a group has to do: the sum over some edges, of a whole row or of a piece of one.
struct task {
  int64_t begin = 0;
  int32_t count = 0;
  int32_t node = -1;     // -1 for nothing
  int64_t out_row = -1;  // -1 for none
  int64_t piece = -1;    // -1 for a whole row
};

template <class Args>
__device__ task piece_task(const Args& a, int64_t piece) {
  const row_schedule& schedule = a.schedule;
  const int32_t i = schedule.piece_row[piece];
  const int32_t node = schedule.order[i];
  if (a.rows != nullptr && a.row_slot[node] < 0) return {};
  const int32_t first = schedule.piece_first[i];
  const auto pieces = static_cast<uint32_t>(schedule.piece_first[i + 1] - first);
  const int64_t begin = a.indptr[node];
  const auto degree = static_cast<uint32_t>(a.indptr[node + 1] - begin);
  const uint32_t length = (degree + pieces - 1) / pieces;
  const uint32_t from = min(degree, length * static_cast<uint32_t>(piece - first));
  return {begin + from, static_cast<int32_t>(min(length, degree - from)), node, 0, piece};
}

template <class Args>
__device__ task row_task(const Args& a, int64_t i) {
  int64_t node;
  if (a.rows != nullptr) {
    if (i >= a.num_rows) return {};
    node = a.rows[i];
    // Padding, -1, behind the rows of a batch gives zeros; so does what row_slots has reported.
    if (node < 0 || node >= a.schedule.num_nodes) return {0, 0, -1, i, -1};
  } else {
    if (a.schedule.num_long + i >= a.schedule.num_nodes) return {};
    node = a.schedule.order[a.schedule.num_long + i];
  }
  const int64_t begin = a.indptr[node];
  const int64_t degree = a.indptr[node + 1] - begin;
  if (degree > long_row) return {};  // in pieces
  return {begin, static_cast<int32_t>(degree), static_cast<int32_t>(node), a.rows != nullptr ? i : node, -1};
}

template <class T, class X, class Out>
__device__ __forceinline__ edge<T> read_edge(const propagate_args<T, X, Out>& a, const task& t, int32_t i) {
  if (i >= t.count) return {-1, T(0)};
  const int32_t source = a.indices[t.begin + i];
  if (a.dropout.threshold != 0 && !a.dropout.keeps(a.dropout.end(t.node), a.dropout.end(source))) {
    return {-1, T(0)};
  }
  const int32_t row = a.slot != nullptr ? a.slot[source] : source;
  if (row < 0) return {-1, T(0)};
  const T factor = a.weights != nullptr ? a.weights[t.begin + i] : a.pre != nullptr ? a.pre[source] : T(1);
  return {row, factor};
}

// Lanes of a warp, in their order: the first ones of it, or those of a mask.
struct first_lanes {
  int count;
  int next = 0;
  __device__ bool more() const { return next < count; }
  __device__ int take() { return next++ % warp; }
};
struct masked_lanes {
  unsigned left;
  __device__ bool more() const { return left != 0; }
  __device__ int take() {
    const int lane = left != 0 ? __ffs(static_cast<int>(left)) - 1 : 0;
    left &= left - 1;
    return lane;
  }
};

// Adds the rows of x at those lanes' edges to acc, columns [column, column + V).
template <int V, class Lanes, class T, class X, class Out>
__device__ __forceinline__ void add_rows(const propagate_args<T, X, Out>& a, const edge<T>& mine, Lanes lanes,
                                         int column, T (&acc)[V]) {
  const int dim = static_cast<int>(a.dim);
  const bool inside = column < dim;
  const bool scaled = a.pre != nullptr || a.weights != nullptr;
  const X* const columns = a.x + column;
  while (lanes.more()) {
    pack<X, V> rows[in_flight<V>];
    T factor[in_flight<V>];
#pragma unroll
    for (int i = 0; i < in_flight<V>; ++i) {
      const bool any = lanes.more() && inside;
      const int lane = lanes.take();
      const int32_t row = __shfl_sync(all_lanes, mine.row, lane);
      factor[i] = scaled ? __shfl_sync(all_lanes, mine.factor, lane) : T(1);
      rows[i] = any ? load_pack<X, V>(columns + int64_t{row} * dim) : pack<X, V>{};
    }
#pragma unroll
    for (int i = 0; i < in_flight<V>; ++i) {
#pragma unroll
      for (int v = 0; v < V; ++v) acc[v] += factor[i] * widen(rows[i].values[v]);
    }
  }
}

template <int V, class T, class X, class Out>
__device__ __forceinline__ void sum_edges(const propagate_args<T, X, Out>& a, const task& t, int column,
                                          T (&acc)[V]) {
  const int lane = static_cast<int>(threadIdx.x) % warp;
  const bool gaps = a.slot != nullptr || a.dropout.threshold != 0;
  edge<T> next = read_edge(a, t, lane);
  for (int32_t first = 0; first < t.count; first += warp) {
    const edge<T> mine = next;
    next = read_edge(a, t, first + warp + lane);
    if (gaps) {
      add_rows(a, mine, masked_lanes{__ballot_sync(all_lanes, mine.row >= 0)}, column, acc);
    } else {
      add_rows(a, mine, first_lanes{min(warp, t.count - first)}, column, acc);
    }
  }
}

template <int V, class T>
__device__ __forceinline__ void take_adam_step(const adam_step<T>& adam, int64_t offset,
                                               const T (&gradient)[V]) {
  T m[V], s[V], p[V];
  load(adam.first_moment + offset, m);
  load(adam.second_moment + offset, s);
  load(adam.parameters + offset, p);
  const T step_size = adam.numbers != nullptr ? adam.numbers[0] : adam.step_size;
  const T root_scale = adam.numbers != nullptr ? adam.numbers[1] : adam.root_scale;
  for (int v = 0; v < V; ++v) {
    m[v] = adam.beta1 * m[v] + (1 - adam.beta1) * gradient[v];
    s[v] = adam.beta2 * s[v] + (1 - adam.beta2) * gradient[v] * gradient[v];
    p[v] -= step_size * m[v] / (sqrt(s[v]) * root_scale + adam.epsilon);
  }
  store(adam.first_moment + offset, m);
  store(adam.second_moment + offset, s);
  store(adam.parameters + offset, p);
}

template <int V, class T>
__device__ __forceinline__ bool finite(const T (&values)[V]) {
  bool all = true;
  for (int v = 0; v < V; ++v) all = all && values[v] - values[v] == T(0);
  return all;
}

// What finish_row has to know of a row besides its sum: read before the sum, which takes as long.
template <class T>
struct row_terms {
  T post = 1;
  int64_t add_row = -1;  // of add; -1 for none
};

template <class T, class X, class Out>
__device__ __forceinline__ row_terms<T> read_terms(const propagate_args<T, X, Out>& a, int64_t node) {
  row_terms<T> terms;
  if (a.post != nullptr) terms.post = a.post[node];
  if (a.add != nullptr) terms.add_row = a.add_slot != nullptr ? a.add_slot[node] : node;
  return terms;
}

// The terms of row `node`, columns [column, column + V), from its sum.
template <int V, class T, class X, class Out>
__device__ __forceinline__ void finish_row(const propagate_args<T, X, Out>& a, const row_terms<T>& terms,
                                           int64_t node, int64_t out_row, int64_t column, const T (&acc)[V]) {
  if (!finite(acc)) *a.not_finite = true;
  const int64_t offset = node * a.dim + column;
  T value[V];
  for (int v = 0; v < V; ++v) value[v] = terms.post * acc[v];
  if (terms.add_row >= 0) {
    const T scale = a.add_scale != nullptr ? a.add_scale[node] : T(1);
    T add[V];
    load(a.add + terms.add_row * a.dim + column, add);
    for (int v = 0; v < V; ++v) value[v] += scale * add[v];
  }
  if (a.out != nullptr) store(a.out + out_row * a.dim + column, value);
  if (a.adam.parameters != nullptr) take_adam_step(a.adam, offset, value);
  if (a.total != nullptr) {
    const T factor = a.total_alpha * (a.total_scale != nullptr ? a.total_scale[node] : T(1));
    T total[V];
    load(a.total + offset, total);
    for (int v = 0; v < V; ++v) total[v] += factor * acc[v];
    store(a.total + offset, total);
  }
}

// Warps take the pieces, then the rows that are not long.
template <int V, class T, class X, class Out>
__global__ void __launch_bounds__(threads, blocks_of_a_processor<V, T>)
    propagate_rows(const propagate_args<T, X, Out> a) {
  const int64_t at = thread_index() / warp;
  const int64_t pieces = a.schedule.num_pieces;
  const task t = at < pieces ? piece_task(a, at) : row_task(a, at - pieces);
  const bool whole = t.node >= 0 && t.piece < 0;
  const row_terms<T> terms = whole ? read_terms(a, t.node) : row_terms<T>{};
  const int dim = static_cast<int>(a.dim);
  for (int first = 0; first < dim; first += warp * V) {
    const int column = first + static_cast<int>(threadIdx.x) % warp * V;
    T acc[V] = {};
    if (a.x != nullptr) sum_edges(a, t, column, acc);
    if (column >= dim) continue;
    if (whole) {
      finish_row(a, terms, t.node, t.out_row, column, acc);
    } else if (t.piece >= 0) {
      store(a.partial + t.piece * dim + column, acc);
    } else if (t.out_row >= 0 && a.out != nullptr) {
      store(a.out + t.out_row * dim + column, acc);
    }
  }
}

// A warp takes a long row.
template <int V, class T, class X, class Out>
__global__ void __launch_bounds__(threads) propagate_long_rows(const propagate_args<T, X, Out> a) {
  const int64_t i = thread_index() / warp;
  if (i >= a.schedule.num_long) return;
  const int32_t node = a.schedule.order[i];
  const int64_t out_row = a.rows != nullptr ? a.row_slot[node] : node;
  if (out_row < 0) return;
  const row_terms<T> terms = read_terms(a, node);
  const int32_t end = a.schedule.piece_first[i + 1];
  for (int64_t column = threadIdx.x % warp * V; column < a.dim; column += warp * V) {
    T acc[V] = {};
#pragma unroll 4
    for (int32_t piece = a.schedule.piece_first[i]; piece < end; ++piece) {
      T partial[V];
      load(a.partial + piece * a.dim + column, partial);
      for (int v = 0; v < V; ++v) acc[v] += partial[v];
    }
    finish_row(a, terms, node, out_row, column, acc);
  }
}

template <int V, class T, class X, class Out>
void launch(const propagate_args<T, X, Out>& a) {
  const row_schedule& schedule = a.schedule;
  const int64_t rows = a.rows != nullptr ? a.num_rows : schedule.num_nodes - schedule.num_long;
  const int64_t tasks = schedule.num_pieces + rows;
  if (tasks == 0) return;
  constexpr int warps = threads / warp;
  const auto short_rows = propagate_rows<V, T, X, Out>;
  LAUNCH(short_rows, blocks_for(tasks, warps), threads, 0, a.stream, a);
  if (schedule.num_long == 0) return;
  const auto long_rows = propagate_long_rows<V, T, X, Out>;
  LAUNCH(long_rows, blocks_for(schedule.num_long, warps), threads, 0, a.stream, a);
}

template <class T, class X, class Out>
bool packs_fit(const propagate_args<T, X, Out>& a, int64_t width) {
  return a.dim % width == 0 && aligned(a.x) && aligned(a.add) && aligned(a.out) && aligned(a.total) &&
         aligned(a.partial) && aligned(a.adam.parameters) && aligned(a.adam.first_moment) &&
         aligned(a.adam.second_moment);
}

// Lanes take as few columns as cover a row, and 16 bytes of x at most.
template <class T, class X, class Out>
void propagate_layer(const propagate_args<T, X, Out>& a) {
  if constexpr (sizeof(T) == 4) {
    if (sizeof(X) == 2 && a.dim > 4 * warp && packs_fit(a, 8)) return launch<16 / sizeof(X)>(a);
    if (a.dim > 2 * warp && packs_fit(a, 4)) return launch<4>(a);
    if (a.dim > warp && packs_fit(a, 2)) return launch<2>(a);
  }
  launch<1>(a);
}

__global__ void scatter_rows(const row_slots_args a) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i >= a.num_rows) return;
  const int64_t node = a.rows[i];
  if (node == -1) return;  // padding
  if (node < 0 || node >= a.num_nodes) {
    *a.bad_rows = true;
  } else {
    a.slot[node] = static_cast<int32_t>(i);
  }
}

// Of a row that is there twice one position is lost.
__global__ void check_rows(const row_slots_args a) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (i >= a.num_rows) return;
  const int64_t node = a.rows[i];
  if (node >= 0 && node < a.num_nodes && a.slot[node] != i) *a.bad_rows = true;
}

void row_slots(const row_slots_args& a) {
  const auto stream = static_cast<cudaStream_t>(a.stream);
  const auto bytes = static_cast<size_t>(a.num_nodes) * sizeof(int32_t);
  check(cudaMemsetAsync(a.slot, 0xFF, bytes, stream), "cudaMemsetAsync of slot");
  if (a.num_rows == 0) return;
  const unsigned blocks = blocks_for(a.num_rows, threads);
  LAUNCH(scatter_rows, blocks, threads, 0, a.stream, a);
  LAUNCH(check_rows, blocks, threads, 0, a.stream, a);
}

}  // namespace

propagate_kernels propagate() {
  return {.splits_rows = true,
          .reads_adam_numbers = true,
          .layer_f32 = propagate_layer<float>,
          .layer_f64 = propagate_layer<double>,
          .layer_f32_to_bf16 = propagate_layer<float, float, bfloat16>,
          .layer_bf16 = propagate_layer<float, bfloat16, bfloat16>,
          .layer_bf16_to_f32 = propagate_layer<float, bfloat16, float>,
          .row_slots = row_slots};
}

take_rows_kernels take_rows() {
  return {.f32 = take_rows<float>, .f64 = take_rows<double>, .bf16_to_f32 = take_rows<float, bfloat16>};
}

}  // namespace pyrec::cuda
