// A group of 8, 16 or 32 lanes takes a task, a row or a piece of a long one, each lane V of its columns, 16
// bytes of x. The lanes of a group read as many edges side by side and pass them round, so that `in_flight`
// rows of x are on their way at once. The groups of a warp go through their edges in step: the schedule gives
// them tasks of about the same length. A device asks for instructions before it asks for bytes here, so whole
// layers have a loop of their own, without the tests that others need for each edge.
//
// Long rows: the pieces' sums go into `partial`; a second kernel adds a row's pieces in their order. No order
// of sums depends on which block runs when.
#include "common/cuda_block.cuh"
#include "common/cuda_vector.cuh"
#include "propagate/propagate.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 128;
constexpr int in_flight = 4;

// What edges are like: of weight 1 with whole x; so with x's rows scaled by `pre`; any.
enum class edge_kind { plain, scaled, any };

// What a group has to do.
struct group_task {
  row_task edges{0, 0, -1};  // of node -1: nothing, or zeros
  int64_t out_row = -1;      // -1 for none
  bool piece = false;
};

template <class Args>
__device__ __forceinline__ group_task chosen_row(const Args& a, int64_t i) {
  if (i >= a.num_rows) return {};
  const int64_t node = a.rows[i];
  // Padding, -1, behind the rows of a batch gives zeros; so does what rows_of_nodes has reported.
  if (node < 0 || node >= a.schedule.num_nodes) return {.out_row = i};
  const int64_t begin = a.indptr[node];
  const int64_t degree = a.indptr[node + 1] - begin;
  if (degree > long_row) return {};  // in pieces
  return {.edges = {begin, static_cast<int32_t>(degree), static_cast<int32_t>(node)}, .out_row = i};
}

template <class Args>
__device__ __forceinline__ group_task task_of_group(const Args& a, int64_t at) {
  const bool piece = at < a.schedule.num_pieces;
  if (a.rows != nullptr && !piece) return chosen_row(a, at - a.schedule.num_pieces);
  if (at >= a.schedule.num_tasks) return {};
  const auto edges = load_vector<row_task>(a.schedule.tasks + at);
  if (a.rows != nullptr && a.row_of_node[edges.node] < 0) return {};
  return {.edges = edges, .out_row = edges.node, .piece = piece};
}

template <int Lanes>
__device__ __forceinline__ int32_t most_of_groups(int32_t count) {
  for (int lane = Lanes; lane < warp; lane *= 2) {
    count = max(count, __shfl_xor_sync(all_lanes, count, lane));
  }
  return count;
}

// Plain and scaled edges. Every lane has one: behind a task's last edge that one again, with factor 0, so
// that loads ask for nothing. (A number that is not finite times 0 is none either, but it is in the sum
// already.)
template <class T>
struct placed_edge {
  uint32_t place;  // of its row in x, in packs
  T factor;
};

template <edge_kind Kind, class T, class X, class Out>
__device__ __forceinline__ placed_edge<T> read_placed(const propagate_args<T, X, Out>& a, const row_task& t,
                                                      int32_t i, uint32_t packs) {
  if (t.count == 0) return {0, T(0)};
  const int32_t source = a.indices[t.begin + min(i, t.count - 1)];
  const bool there = i < t.count;
  const T factor = Kind == edge_kind::scaled && there ? a.pre[source] : there ? T(1) : T(0);
  return {static_cast<uint32_t>(source) * packs, factor};
}

// Adds the rows of x at `in_flight` lanes' edges from lane `first` on, a pack of V columns of each, to acc.
template <bool Factors, int Lanes, int V, class T, class X>
__device__ __forceinline__ void add_placed(const pack<X, V>* x, const placed_edge<T>& mine, int first,
                                           T (&acc)[V]) {
  pack<X, V> rows[in_flight];
  T factor[in_flight];
#pragma unroll
  for (int i = 0; i < in_flight; ++i) {
    rows[i] = load_vector<pack<X, V>>(x + __shfl_sync(all_lanes, mine.place, first + i, Lanes));
    if (Factors) factor[i] = __shfl_sync(all_lanes, mine.factor, first + i, Lanes);
  }
#pragma unroll
  for (int i = 0; i < in_flight; ++i) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const T value = widen(rows[i].values[v]);
      acc[v] = Factors ? multiply_add(factor[i], value, acc[v]) : acc[v] + value;
    }
  }
}

template <edge_kind Kind, int Lanes, int V, class T, class X, class Out>
__device__ __forceinline__ void sum_placed(const propagate_args<T, X, Out>& a, const row_task& t, int column,
                                           T (&acc)[V]) {
  const int lane = static_cast<int>(threadIdx.x) % Lanes;
  const auto packs = static_cast<uint32_t>(a.dim) / V;
  const auto* x = reinterpret_cast<const pack<X, V>*>(a.x + (column < a.dim ? column : 0));
  const int32_t longest = most_of_groups<Lanes>(t.count);
  const int32_t shortest = -most_of_groups<Lanes>(-t.count);
  placed_edge<T> next = read_placed<Kind>(a, t, lane, packs);
  for (int32_t first = 0; first < longest; first += Lanes) {
    const placed_edge<T> mine = next;
    next = read_placed<Kind>(a, t, first + Lanes + lane, packs);
    const int count = min(Lanes, longest - first);
    const int whole = Kind == edge_kind::plain ? min(Lanes, shortest - first) : 0;
    int done = 0;
#pragma unroll 1
    for (; done + in_flight <= whole; done += in_flight) add_placed<false, Lanes>(x, mine, done, acc);
#pragma unroll 1
    for (; done < count; done += in_flight) add_placed<true, Lanes>(x, mine, done, acc);
  }
  if (t.count > 0) return;
  for (int v = 0; v < V; ++v) acc[v] = T(0);
}

// Any edges: those that are there are found by a vote of their lanes.
template <class T>
struct edge {
  int32_t row;  // of x; -1 for none
  T factor;
};

template <class T, class X, class Out>
__device__ __forceinline__ edge<T> read_edge(const propagate_args<T, X, Out>& a, const row_task& t,
                                             int32_t i) {
  if (i >= t.count) return {-1, T(0)};
  const int32_t source = a.indices[t.begin + i];
  if (a.dropout.threshold != 0 && !a.dropout.keeps(a.dropout.end(t.node), a.dropout.end(source))) {
    return {-1, T(0)};
  }
  const int32_t row = a.x_row != nullptr ? a.x_row[source] : source;
  if (row < 0) return {-1, T(0)};
  const T factor = a.weights != nullptr ? a.weights[t.begin + i] : a.pre != nullptr ? a.pre[source] : T(1);
  return {row, factor};
}

template <int Lanes>
__device__ __forceinline__ unsigned lanes_of_group(unsigned lanes, int group) {
  return (lanes >> (group * Lanes)) & (all_lanes >> (warp - Lanes));
}

template <int Lanes>
__device__ __forceinline__ int most_in_a_group(unsigned lanes) {
  int most = 0;
  for (int group = 0; group < warp / Lanes; ++group) {
    most = max(most, __popc(lanes_of_group<Lanes>(lanes, group)));
  }
  return most;
}

// Adds the rows of x at `present`'s lanes' edges to acc, columns [column, column + V).
template <int Lanes, int V, class T, class X, class Out>
__device__ __forceinline__ void add_present(const propagate_args<T, X, Out>& a, const edge<T>& mine,
                                            unsigned present, int steps, int column, T (&acc)[V]) {
  for (int done = 0; done < steps; done += in_flight) {
    pack<X, V> rows[in_flight];
    T factor[in_flight];
#pragma unroll
    for (int i = 0; i < in_flight; ++i) {
      const bool any = present != 0;
      const int lane = any ? __ffs(static_cast<int>(present)) - 1 : 0;
      present &= present - 1;
      const int64_t row = __shfl_sync(all_lanes, mine.row, lane, Lanes);
      factor[i] = __shfl_sync(all_lanes, mine.factor, lane, Lanes);
      rows[i] = any && column < a.dim ? load_pack<X, V>(a.x + row * a.dim + column) : pack<X, V>{};
    }
#pragma unroll
    for (int i = 0; i < in_flight; ++i) {
#pragma unroll
      for (int v = 0; v < V; ++v) acc[v] = multiply_add(factor[i], widen(rows[i].values[v]), acc[v]);
    }
  }
}

template <int Lanes, int V, class T, class X, class Out>
__device__ __forceinline__ void sum_any(const propagate_args<T, X, Out>& a, const row_task& t, int column,
                                        T (&acc)[V]) {
  const int lane = static_cast<int>(threadIdx.x) % Lanes;
  const int group = static_cast<int>(threadIdx.x) % warp / Lanes;
  const int32_t longest = most_of_groups<Lanes>(t.count);
  edge<T> next = read_edge(a, t, lane);
  for (int32_t first = 0; first < longest; first += Lanes) {
    const edge<T> mine = next;
    next = read_edge(a, t, first + Lanes + lane);
    const unsigned present = __ballot_sync(all_lanes, mine.row >= 0);
    add_present<Lanes>(a, mine, lanes_of_group<Lanes>(present, group), most_in_a_group<Lanes>(present),
                       column, acc);
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
    m[v] = multiply_add(1 - adam.beta1, gradient[v], adam.beta1 * m[v]);
    s[v] = multiply_add((1 - adam.beta2) * gradient[v], gradient[v], adam.beta2 * s[v]);
    const T root = sqrt(s[v]);
    p[v] -= step_size * m[v] / multiply_add(root, root_scale, adam.epsilon);
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
  if (a.add != nullptr) terms.add_row = a.add_row != nullptr ? a.add_row[node] : node;
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
    for (int v = 0; v < V; ++v) value[v] = multiply_add(scale, add[v], value[v]);
  }
  if (a.out != nullptr) store(a.out + out_row * a.dim + column, value);
  if (a.adam.parameters != nullptr) take_adam_step(a.adam, offset, value);
  if (a.total != nullptr) {
    const T factor = a.total_alpha * (a.total_scale != nullptr ? a.total_scale[node] : T(1));
    T total[V];
    load(a.total + offset, total);
    for (int v = 0; v < V; ++v) total[v] = multiply_add(factor, acc[v], total[v]);
    store(a.total + offset, total);
  }
}

// Blocks that a multiprocessor of 65,536 registers is to run at once, which leaves a thread 72 registers, or
// 96 for packs of 8 and 128 for long rows: what they need without a spill (bench/results/registers-sm90.txt).
template <int V>
constexpr int blocks_at_once = V == 8 ? 5 : 7;
constexpr int long_blocks_at_once = 4;

template <edge_kind Kind, int Lanes, int V, class T, class X, class Out>
__global__ void __launch_bounds__(threads, blocks_at_once<V>)
    propagate_rows(const propagate_args<T, X, Out> a) {
  const group_task task = task_of_group(a, grid_thread() / Lanes);
  const row_task& t = task.edges;
  const bool whole = t.node >= 0 && !task.piece;
  const row_terms<T> terms = whole ? read_terms(a, t.node) : row_terms<T>{};
  const int dim = static_cast<int>(a.dim);
  for (int first = 0; first < dim; first += Lanes * V) {
    const int column = first + static_cast<int>(threadIdx.x) % Lanes * V;
    T acc[V] = {};
    if constexpr (Kind != edge_kind::any) {
      sum_placed<Kind, Lanes>(a, t, column, acc);
    } else {
      if (a.x != nullptr) sum_any<Lanes>(a, t, column, acc);
    }
    if (column >= dim) continue;
    if (whole) {
      finish_row(a, terms, t.node, task.out_row, column, acc);
    } else if (task.piece) {
      store(a.partial + grid_thread() / Lanes * dim + column, acc);
    } else if (task.out_row >= 0 && a.out != nullptr) {
      store(a.out + task.out_row * dim + column, acc);
    }
  }
}

// A warp takes a long row.
template <int V, class T, class X, class Out>
__global__ void __launch_bounds__(threads, long_blocks_at_once)
    propagate_long_rows(const propagate_args<T, X, Out> a) {
  const int64_t i = grid_thread() / warp;
  if (i >= a.schedule.num_long) return;
  const int32_t node = a.schedule.long_rows[i];
  const int64_t out_row = a.rows != nullptr ? a.row_of_node[node] : node;
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

template <edge_kind Kind, int Lanes, int V, class T, class X, class Out>
void launch(const propagate_args<T, X, Out>& a) {
  const row_schedule& schedule = a.schedule;
  const int64_t tasks = a.rows != nullptr ? schedule.num_pieces + a.num_rows : schedule.num_tasks;
  if (tasks == 0) return;
  const auto rows = propagate_rows<Kind, Lanes, V, T, X, Out>;
  LAUNCH(rows, blocks_for(tasks, threads / Lanes), threads, 0, a.stream, a);
  if (schedule.num_long == 0) return;
  const auto long_rows = propagate_long_rows<V, T, X, Out>;
  LAUNCH(long_rows, blocks_for(schedule.num_long, threads / warp), threads, 0, a.stream, a);
}

// Whether packs of V may be used.
template <int V, class T, class X, class Out>
bool packs_fit(const propagate_args<T, X, Out>& a) {
  return a.dim % V == 0 && aligned(a.x) && aligned(a.add) && aligned(a.out) && aligned(a.total) &&
         aligned(a.partial) && aligned(a.adam.parameters) && aligned(a.adam.first_moment) &&
         aligned(a.adam.second_moment);
}

// A layer of bfloat16 that a float32 one becomes is made of chosen rows, or of no x.
template <int Lanes, int V, class T, class X, class Out>
void launch_kind(const propagate_args<T, X, Out>& a) {
  using args = propagate_args<T, X, Out>;
  const bool sparse =
      a.x == nullptr || a.x_row != nullptr || a.weights != nullptr || a.dropout.threshold != 0;
  const bool near = a.schedule.num_nodes * (a.dim / V) <= int64_t{UINT32_MAX};
  if constexpr (args::half_source || !args::half_out) {
    if (!sparse && near && a.pre == nullptr) return launch<edge_kind::plain, Lanes, V>(a);
  }
  if constexpr (!args::half_source && !args::half_out) {
    if (!sparse && near && a.pre != nullptr) return launch<edge_kind::scaled, Lanes, V>(a);
  }
  launch<edge_kind::any, Lanes, V>(a);
}

template <class T, class X, class Out>
void propagate_layer(const propagate_args<T, X, Out>& a) {
  if constexpr (sizeof(T) == 4) {
    constexpr int V = 16 / sizeof(X);
    if (packs_fit<V>(a)) {
      if (a.dim <= 8 * V) return launch_kind<8, V>(a);
      if (a.dim <= 16 * V) return launch_kind<16, V>(a);
      return launch_kind<32, V>(a);
    }
  }
  launch<edge_kind::any, 32, 1>(a);
}

__global__ void scatter_rows(const rows_of_nodes_args a) {
  const int64_t i = grid_thread();
  if (i >= a.num_rows) return;
  const int64_t node = a.rows[i];
  if (node == -1) return;  // padding
  if (node < 0 || node >= a.num_nodes) {
    *a.bad_rows = true;
  } else {
    a.row_of_node[node] = static_cast<int32_t>(i);
  }
}

// Of a row that is there twice one position is lost.
__global__ void check_rows(const rows_of_nodes_args a) {
  const int64_t i = grid_thread();
  if (i >= a.num_rows) return;
  const int64_t node = a.rows[i];
  if (node >= 0 && node < a.num_nodes && a.row_of_node[node] != i) *a.bad_rows = true;
}

void rows_of_nodes(const rows_of_nodes_args& a) {
  const auto stream = static_cast<cudaStream_t>(a.stream);
  const auto bytes = static_cast<size_t>(a.num_nodes) * sizeof(int32_t);
  check(cudaMemsetAsync(a.row_of_node, 0xFF, bytes, stream), "cudaMemsetAsync of row_of_node");
  if (a.num_rows == 0) return;
  const unsigned blocks = blocks_for(a.num_rows, threads);
  LAUNCH(scatter_rows, blocks, threads, 0, a.stream, a);
  LAUNCH(check_rows, blocks, threads, 0, a.stream, a);
}

}  // namespace

propagate_kernels propagate() {
  return {.splits_rows = true,
          .reads_adam_numbers = true,
          .layer = {propagate_layer<float>, propagate_layer<double>, propagate_layer<float, float, bfloat16>,
                    propagate_layer<float, bfloat16, bfloat16>, propagate_layer<float, bfloat16, float>},
          .rows_of_nodes = rows_of_nodes};
}

}  // namespace pyrec::cuda
