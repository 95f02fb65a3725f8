// A block of threads multiplies a tile of users by a tile of items out of shared memory, a slice of their columns at a
// time; of both passes, a thread holds the products of some rows and some columns. The exponentials lie in shared memory
// for the second product. Forward, the pool is cut into as many splits as its size asks for, whose sums are merged in
// their order; backward a block takes a tile of items and goes through all users.
#include "common/cuda_block.cuh"
#include "common/cuda_vector.cuh"
#include "common/scratch_parts.hpp"
#include "xent/xent.hpp"

namespace pyrec::cuda {

namespace {

constexpr int side = 16;  // threads down and across
constexpr int threads = side * side;
constexpr int slice = 16;  // columns of both factors at a time
constexpr int64_t wanted_blocks = 512;
constexpr int64_t split_tiles = 8;  // at least, but for the last split

// Rows of a tile that a thread holds, and columns.
template <class T>
constexpr int per = sizeof(T) == sizeof(float) ? 4 : 2;
template <class T>
constexpr int tile = side * per<T>;

template <class T>
struct alignas(16) tile_memory {
  T left[slice][tile<T> + 4];
  T right[slice][tile<T> + 4];
  T weights[tile<T>][tile<T> + 4];  // from columns to rows
};

// Some rows of a matrix.
template <class T>
struct some_rows {
  const T* first;
  int64_t count;
  int64_t dim;
};

template <class T>
using products = T[per<T>][per<T>];

__device__ __forceinline__ int down() { return static_cast<int>(threadIdx.x) / side; }
__device__ __forceinline__ int across() { return static_cast<int>(threadIdx.x) % side; }

template <class T>
__device__ __forceinline__ T lowest() {
  if constexpr (sizeof(T) == sizeof(float)) return -3.402823466e38f;
  return static_cast<T>(-1.7976931348623157e308);
}

__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }

// A part of a matrix of a tile's rows, with zeros past its ends.
template <class T>
__device__ __forceinline__ void load_columns(T (&to)[slice][tile<T> + 4], const some_rows<T>& from,
                                             int64_t column) {
  for (int i = static_cast<int>(threadIdx.x); i < tile<T> * slice; i += threads) {
    const int row = i / slice, c = i % slice;
    const bool there = row < from.count && column + c < from.dim;
    to[c][row] = there ? from.first[row * from.dim + column + c] : T(0);
  }
}

template <class T>
__device__ __forceinline__ void load_rows(T (&to)[slice][tile<T> + 4], const some_rows<T>& from, int64_t row,
                                          int64_t column) {
  for (int i = static_cast<int>(threadIdx.x); i < tile<T> * slice; i += threads) {
    const int r = i / tile<T>, c = i % tile<T>;
    const bool there = row + r < from.count && column + c < from.dim;
    to[r][c] = there ? from.first[(row + r) * from.dim + column + c] : T(0);
  }
}

template <class T>
__device__ __forceinline__ void clear(products<T>& out) {
#pragma unroll
  for (int i = 0; i < per<T> * per<T>; ++i) out[i / per<T>][i % per<T>] = T(0);
}

template <class T>
__device__ __forceinline__ void add_slice(const T (*left)[tile<T> + 4], const T (*right)[tile<T> + 4],
                                          products<T>& out) {
#pragma unroll
  for (int k = 0; k < slice; ++k) {
    T a[per<T>], b[per<T>];
    load(left[k] + down() * per<T>, a);
    load(right[k] + across() * per<T>, b);
#pragma unroll
    for (int i = 0; i < per<T>; ++i) {
      for (int j = 0; j < per<T>; ++j) out[i][j] = multiply_add(a[i], b[j], out[i][j]);
    }
  }
}

// out = left . right of each row of the one and each of the other.
template <class T>
__device__ __forceinline__ void multiply_rows(tile_memory<T>& memory, const some_rows<T>& left,
                                              const some_rows<T>& right, products<T>& out) {
  clear<T>(out);
  for (int64_t column = 0; column < left.dim; column += slice) {
    __syncthreads();  // what lay there has been used
    load_columns(memory.left, left, column);
    load_columns(memory.right, right, column);
    __syncthreads();
    add_slice<T>(memory.left, memory.right, out);
  }
}

// to: (num_rows, dim) = scale to + weights^T from, without `to` where it is the first.
template <class T>
__device__ __forceinline__ void add_weighted(tile_memory<T>& memory, const some_rows<T>& from, T* to,
                                             int64_t num_rows, const T (&scale)[per<T>], bool first) {
  for (int64_t column = 0; column < from.dim; column += tile<T>) {
    products<T> sum;
    clear<T>(sum);
    for (int row = 0; row < tile<T>; row += slice) {
      __syncthreads();  // the weights are there, and what lay there has been used
      load_rows(memory.right, from, row, column);
      __syncthreads();
      add_slice<T>(memory.weights + row, memory.right, sum);
    }
#pragma unroll
    for (int i = 0; i < per<T>; ++i) {
      for (int j = 0; j < per<T>; ++j) {
        const int64_t row = down() * per<T> + i;
        const int64_t c = column + across() * per<T> + j;
        if (row >= num_rows || c >= from.dim) continue;
        T& at = to[row * from.dim + c];
        at = first ? sum[i][j] : multiply_add(at, scale[i], sum[i][j]);
      }
    }
  }
}

template <class T>
__device__ __forceinline__ some_rows<T> tile_of(const T* matrix, int64_t first, int64_t last, int64_t dim) {
  return {.first = matrix + first * dim, .count = min(last - first, int64_t{tile<T>}), .dim = dim};
}

// A product less the item's offset; minus infinity where the item is the user's own.
template <class T>
__device__ __forceinline__ T score_of(const xent_input<T>& in, int64_t user, int64_t item, T product) {
  if (in.own != nullptr && in.own[user] == in.ids[item]) {
    return static_cast<T>(__longlong_as_double(0xFFF0000000000000));
  }
  return in.offset == nullptr ? product : product - in.offset[item];
}

// Sums of the splits.
template <class T>
struct split_sums {
  int64_t num_splits;
  int64_t tiles;  // of a split, the last one's but for what is missing
  T* largest;     // (num_splits, num_users)
  T* total;       // (num_splits, num_users)
  T* sums;        // (num_splits, num_users, dim)
};

template <class T>
split_sums<T> lay_out(const xent_input<T>& in, buffer_parts& parts) {
  const int64_t user_tiles = ceil_div(in.num_users, tile<T>);
  const int64_t item_tiles = ceil_div(in.num_items, tile<T>);
  const int64_t wanted = user_tiles > 0 ? ceil_div(wanted_blocks, user_tiles) : 1;
  const int64_t by_blocks = ceil_div(item_tiles, wanted);
  const int64_t tiles = by_blocks < split_tiles ? split_tiles : by_blocks;
  const int64_t splits = item_tiles > 0 ? ceil_div(item_tiles, tiles) : 1;
  return {.num_splits = splits,
          .tiles = tiles,
          .largest = parts.take<T>(splits * in.num_users),
          .total = parts.take<T>(splits * in.num_users),
          .sums = parts.take<T>(splits * in.num_users * in.dim)};
}

// The largest of the threads across, the same in each; a NaN is passed over.
template <class T>
__device__ __forceinline__ T largest_across(T value) {
#pragma unroll
  for (int distance = side / 2; distance > 0; distance /= 2) {
    const T other = __shfl_xor_sync(all_lanes, value, distance);
    value = other > value ? other : value;
  }
  return value;
}

// What a thread knows of its users, the same across.
template <class T>
struct user_sums {
  T largest[per<T>];
  T total[per<T>];
  T scale[per<T>];
};

// Scores become exponentials, in the memory's weights, and the sums those with this tile.
template <class T>
__device__ __forceinline__ void add_scores(tile_memory<T>& memory, user_sums<T>& users, int num_items,
                                           products<T>& scores) {
#pragma unroll
  for (int i = 0; i < per<T>; ++i) {
    T most = users.largest[i];
    for (int j = 0; j < per<T>; ++j) {
      const bool there = across() * per<T> + j < num_items;
      most = there && scores[i][j] > most ? scores[i][j] : most;
    }
    most = largest_across(most);
    T sum = 0;
    for (int j = 0; j < per<T>; ++j) {
      const bool there = across() * per<T> + j < num_items;
      const T e = there ? exponential(scores[i][j] - most) : T(0);
      memory.weights[across() * per<T> + j][down() * per<T> + i] = e;
      sum += e;
    }
    users.scale[i] = exponential(users.largest[i] - most);
    users.total[i] = multiply_add(users.total[i], users.scale[i], group_sum<side>(sum));
    users.largest[i] = most;
  }
}

template <class T>
__global__ void __launch_bounds__(threads)
    take_split(const xent_input<T> in, const split_sums<T> s, const bool with_sums) {
  __shared__ tile_memory<T> memory;
  const int64_t first_user = int64_t{blockIdx.x} * tile<T>;
  const some_rows<T> users = tile_of(in.users, first_user, in.num_users, in.dim);
  const int64_t begin = int64_t{blockIdx.y} * s.tiles * tile<T>;
  const int64_t end = min(begin + s.tiles * tile<T>, in.num_items);
  const int64_t place = int64_t{blockIdx.y} * in.num_users + first_user;
  user_sums<T> sums{};
#pragma unroll
  for (int i = 0; i < per<T>; ++i) sums.largest[i] = lowest<T>();
  for (int64_t item = begin; item < end; item += tile<T>) {
    const some_rows<T> items = tile_of(in.pool, item, end, in.dim);
    products<T> scores;
    multiply_rows(memory, users, items, scores);
#pragma unroll
    for (int i = 0; i < per<T>; ++i) {
      for (int j = 0; j < per<T>; ++j) {
        const int row = down() * per<T> + i, column = across() * per<T> + j;
        if (row >= users.count || column >= items.count) continue;
        scores[i][j] = score_of(in, first_user + row, item + column, scores[i][j]);
      }
    }
    __syncthreads();  // the weights of the tile before have been used
    add_scores(memory, sums, static_cast<int>(items.count), scores);
    if (with_sums) {
      add_weighted(memory, items, s.sums + place * in.dim, users.count, sums.scale, item == begin);
    }
  }
  if (across() > 0) return;
#pragma unroll
  for (int i = 0; i < per<T>; ++i) {
    const int row = down() * per<T> + i;
    if (row >= users.count) continue;
    s.largest[place + row] = sums.largest[i];
    s.total[place + row] = sums.total[i];
  }
}

// A warp takes a user.
template <class T>
__global__ void __launch_bounds__(threads) merge_splits(const xent_args<T> a, const split_sums<T> s) {
  const int64_t user = grid_thread() / warp;
  const int lane = static_cast<int>(threadIdx.x) % warp;
  if (user >= a.input.num_users) return;
  const int64_t num_users = a.input.num_users, dim = a.input.dim;
  T most = lowest<T>();
  for (int64_t split = 0; split < s.num_splits; ++split) {
    const T largest = s.largest[split * num_users + user];
    most = largest > most ? largest : most;
  }
  double total = 0;
  for (int64_t split = 0; split < s.num_splits; ++split) {
    const int64_t at = split * num_users + user;
    total += static_cast<double>(s.total[at]) * static_cast<double>(exponential(s.largest[at] - most));
  }
  if (lane == 0) {
    a.largest[user] = most;
    a.total[user] = static_cast<T>(total);
    a.log_total[user] = static_cast<T>(log(total) + static_cast<double>(most));
  }
  if (a.mean == nullptr) return;
  const T factor = total == 0 ? T(0) : static_cast<T>(1 / total);
  for (int64_t c = lane; c < dim; c += warp) {
    T sum = 0;
    for (int64_t split = 0; split < s.num_splits && a.input.num_items > 0; ++split) {
      const int64_t at = split * num_users + user;
      sum = multiply_add(s.sums[at * dim + c], exponential(s.largest[at] - most), sum);
    }
    a.mean[user * dim + c] = factor * sum;
  }
}

template <class T>
void log_total(const xent_args<T>& a) {
  if (a.input.num_users == 0) return;
  buffer_parts parts(a.scratch);
  const split_sums<T> s = lay_out(a.input, parts);
  const dim3 grid(blocks_for(a.input.num_users, tile<T>), static_cast<unsigned>(s.num_splits));
  LAUNCH(take_split<T>, grid, threads, 0, a.stream, a.input, s, a.mean != nullptr);
  LAUNCH(merge_splits<T>, blocks_for(a.input.num_users, threads / warp), threads, 0, a.stream, a, s);
}

template <class T>
__global__ void __launch_bounds__(threads) take_items(const xent_grad_args<T> a) {
  __shared__ tile_memory<T> memory;
  const xent_input<T>& in = a.input;
  const int64_t first_item = int64_t{blockIdx.x} * tile<T>;
  const some_rows<T> items = tile_of(in.pool, first_item, in.num_items, in.dim);
  T* const grad = a.grad_pool + first_item * in.dim;
  T of_offset[per<T>] = {};
  T one[per<T>];
#pragma unroll
  for (int i = 0; i < per<T>; ++i) one[i] = T(1);
  for (int64_t user = 0; user < in.num_users; user += tile<T>) {
    const some_rows<T> users = tile_of(in.users, user, in.num_users, in.dim);
    products<T> scores;
    multiply_rows(memory, items, users, scores);
    __syncthreads();  // the weights of the tile before have been used
#pragma unroll
    for (int i = 0; i < per<T>; ++i) {
      for (int j = 0; j < per<T>; ++j) {
        const int row = down() * per<T> + i, column = across() * per<T> + j;
        T weight = 0;
        if (row < items.count && column < users.count) {
          const T score = score_of(in, user + column, first_item + row, scores[i][j]);
          weight = exponential(score - a.largest[user + column]) * a.rate[user + column];
        }
        memory.weights[column][row] = weight;
        of_offset[i] += weight;
      }
    }
    add_weighted(memory, users, grad, items.count, one, user == 0);
  }
  for (int64_t i = threadIdx.x; in.num_users == 0 && i < items.count * in.dim; i += threads) grad[i] = T(0);
#pragma unroll
  for (int i = 0; i < per<T>; ++i) {
    const int row = down() * per<T> + i;
    const T sum = group_sum<side>(of_offset[i]);
    const bool writes = a.grad_offset != nullptr && across() == 0 && row < items.count;
    if (writes) a.grad_offset[first_item + row] = -sum;
  }
}

template <class T>
void grad(const xent_grad_args<T>& a) {
  if (a.input.num_items == 0) return;
  LAUNCH(take_items<T>, blocks_for(a.input.num_items, tile<T>), threads, 0, a.stream, a);
}

template <class T>
int64_t scratch_bytes(const xent_input<T>& in, bool backward, int) {
  buffer_parts parts(nullptr);
  if (!backward) lay_out(in, parts);
  return parts.bytes();
}

}  // namespace

xent_kernels xent() {
  return {.checks_input = true,
          .log_total = {log_total<float>, log_total<double>},
          .grad = {grad<float>, grad<double>},
          .scratch_f32 = scratch_bytes<float>,
          .scratch_f64 = scratch_bytes<double>};
}

}  // namespace pyrec::cuda
