// The phases of csrc/debias/debias_cpu.hpp, a launch or two each. A warp takes a row; each lane has some of its
// columns, so no float is added by two threads but in sums of a fixed shape.
#include "common/cuda_sample_mean.cuh"
#include "common/cuda_vector.cuh"
#include "debias/block.hpp"

namespace pyrec::cuda {

namespace {

constexpr int threads = 256;
constexpr int64_t gram_tasks = 32;
constexpr int tile =
    16;  // columns and rows of a matrix that a block of threads sums, and rows that it stages
constexpr int num_sums = 8;

enum sum_of { label_0, label_1, observed_0, observed_1, imputed_0, imputed_1, imputed_2, loss };

template <class T>
struct scratch {
  T* moved_users;  // (1 + num_uniform_users, stride) theta', by slot
  T* moved_items;
  T* user_steps;  // likewise v, h; zeros in slot 0
  T* item_steps;
  T* next_items;  // (items, stride) of the block
  T* score;       // (num_pairs,) x, from the block's first entry on; likewise
  T* slope;
  T* by_pair;
  T* by_whole;
  T* gradient;   // (num_parameters,)
  double* sums;  // (num_sums, users_per_block) of each user
  double* size;  // (items_per_block,) |q|^2
  T* user_gram;  // (dim + 2, stride) S_A, S_C, T_A, T_C
  T* item_gram;
  T* user_step_gram;
  T* item_step_gram;
  double* partial;  // (gram_tasks, dim + 2, stride)
};

template <class T>
scratch<T> lay_out(const debias_args<T>& a, buffer_parts& parts) {
  const int64_t matrix = (a.dim + 2) * a.stride;
  const int64_t users = a.users_per_block < a.num_users ? a.users_per_block : a.num_users;
  const int64_t items = a.items_per_block < a.num_items ? a.items_per_block : a.num_items;
  scratch<T> s{};
  s.moved_users = parts.take<T>((1 + a.num_uniform_users) * a.stride);
  s.moved_items = parts.take<T>((1 + a.num_uniform_items) * a.stride);
  s.user_steps = parts.take<T>((1 + a.num_uniform_users) * a.stride);
  s.item_steps = parts.take<T>((1 + a.num_uniform_items) * a.stride);
  s.next_items = parts.take<T>(items * a.stride);
  s.score = parts.take<T>(a.num_pairs);
  s.slope = parts.take<T>(a.num_pairs);
  s.by_pair = parts.take<T>(a.num_pairs);
  s.by_whole = parts.take<T>(a.num_pairs);
  s.gradient = parts.take<T>(a.offset[debias_parts]);
  s.sums = parts.take<double>(num_sums * users);
  s.size = parts.take<double>(items);
  s.user_gram = parts.take<T>(matrix);
  s.item_gram = parts.take<T>(matrix);
  s.user_step_gram = parts.take<T>(matrix);
  s.item_step_gram = parts.take<T>(matrix);
  s.partial = parts.take<double>(gram_tasks * matrix);
  return s;
}

template <class T>
struct work {
  debias_block<T> b;
  scratch<T> s;

  // Number c of c' = c - (0, 0, m_0).
  __device__ T shifted(int64_t i, int64_t c) const {
    const T value = b.item_row(i)[c];
    return c == b.a.dim + 1 ? value - b.missing() : value;
  }
};

__device__ __forceinline__ int lane_of_warp() { return static_cast<int>(threadIdx.x) % warp; }
__device__ __forceinline__ int64_t warp_of_grid() { return grid_thread() / warp; }

// a . b by the lanes of a warp.
template <class T>
__device__ __forceinline__ T warp_product(const T* one, const T* other, int64_t stride) {
  T sum = 0;
  for (int64_t c = lane_of_warp(); c < stride; c += warp) sum = multiply_add(one[c], other[c], sum);
  return group_sum<warp>(sum);
}

// Matrices: sums of outer products of rows.

enum class gram { users, items, user_steps, item_steps };

template <class T>
__device__ __forceinline__ T left_of(const work<T>& w, gram kind, int64_t r, int64_t c) {
  const debias_block<T>& b = w.b;
  if (kind == gram::users || kind == gram::user_steps) {
    return b.part(whole_user)[b.user[r]] * b.user_row(b.user[r])[c];
  }
  return b.part(whole_item)[b.item[r]] * w.shifted(b.item[r], c);
}

template <class T>
__device__ __forceinline__ T right_of(const work<T>& w, gram kind, int64_t r, int64_t c) {
  const debias_block<T>& b = w.b;
  if (kind == gram::users) return b.user_row(b.user[r])[c];
  if (kind == gram::items) return w.shifted(b.item[r], c);
  if (kind == gram::user_steps) return w.s.user_steps[b.a.user_slot[b.user[r]] * b.a.stride + c];
  return w.s.item_steps[b.a.item_slot[b.item[r]] * b.a.stride + c];
}

// A block of tile x tile threads has as many numbers of the matrix, over the rows of one task.
template <class T>
__global__ void __launch_bounds__(tile* tile)
    sum_rows(const work<T> w, gram kind, int64_t count, int64_t per, int64_t matrix) {
  __shared__ T left[tile][tile];
  __shared__ T right[tile][tile];
  const int64_t columns = w.b.a.stride / tile;
  const int64_t i = blockIdx.x / columns * tile, j = blockIdx.x % columns * tile;
  const int x = static_cast<int>(threadIdx.x) % tile, y = static_cast<int>(threadIdx.x) / tile;
  const int64_t first = blockIdx.y * per, last = first + per < count ? first + per : count;
  double total = 0;
  for (int64_t r = first; r < last; r += tile) {
    const bool any = r + y < last;
    __syncthreads();
    left[y][x] = any && i + x < w.b.a.dim + 2 ? left_of(w, kind, r + y, i + x) : T(0);
    right[y][x] = any ? right_of(w, kind, r + y, j + x) : T(0);
    __syncthreads();
    T sum = 0;
    for (int k = 0; k < tile; ++k) sum = multiply_add(left[k][y], right[k][x], sum);
    total += static_cast<double>(sum);
  }
  if (i + y < w.b.a.dim + 2) w.s.partial[blockIdx.y * matrix + (i + y) * w.b.a.stride + j + x] = total;
}

template <class T>
__global__ void __launch_bounds__(threads) add_tasks(const work<T> w, int64_t tasks, int64_t matrix, T* out) {
  const int64_t at = grid_thread();
  if (at >= matrix) return;
  double total = 0;
  for (int64_t task = 0; task < tasks; ++task) total += w.s.partial[task * matrix + at];
  out[at] = static_cast<T>(total);
}

template <class T>
void start_gram(const work<T>& w, gram kind, int64_t count, T* out) {
  const int64_t rows = w.b.a.dim + 2, matrix = rows * w.b.a.stride;
  const int64_t per = rounded_up(ceil_div(count, gram_tasks), tile), tasks = ceil_div(count, per);
  const dim3 grid(static_cast<unsigned>(ceil_div(rows, tile) * (w.b.a.stride / tile)),
                  static_cast<unsigned>(tasks));
  LAUNCH(sum_rows<T>, grid, tile * tile, 0, w.b.a.stream, w, kind, count, per, matrix);
  LAUNCH(add_tasks<T>, blocks_for(matrix, threads), threads, 0, w.b.a.stream, w, tasks, matrix, out);
}

template <class T>
void start_grams(const work<T>& w) {
  start_gram(w, gram::users, w.b.users, w.s.user_gram);
  start_gram(w, gram::items, w.b.items, w.s.item_gram);
}

// Gradients of L_T by rows.

template <class T>
__device__ __forceinline__ T user_gradient(const work<T>& w, int64_t r, int64_t c) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  if (c > a.dim) return 0;  // the constant
  const T* row = b.user_row(b.user[r]);
  T grad = 0, whole = 0;
  for (int32_t e = b.user_start[r]; e < b.user_start[r + 1]; ++e) {
    grad = multiply_add(w.s.slope[e - b.user_start[0]], b.item_row(a.entry_item[e])[c], grad);
  }
  for (int64_t k = 0; k < a.dim + 2; ++k)
    whole = multiply_add(row[k], w.s.item_gram[k * a.stride + c], whole);
  grad += 2 * static_cast<T>(a.lambda) * b.gamma(0) * b.part(whole_user)[b.user[r]] * whole;
  return c < a.dim ? grad + static_cast<T>(a.reg) * row[c] : grad;
}

template <class T>
__device__ __forceinline__ T item_gradient(const work<T>& w, int64_t r, int64_t c) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  if (c == a.dim || c > a.dim + 1) return 0;
  const int64_t i = b.item[r];
  T grad = 0, whole = 0;
  for (int32_t e = b.item_start[r]; e < b.item_start[r + 1]; ++e) {
    const T slope = w.s.slope[a.other_entry[e] - b.user_start[0]];
    grad = multiply_add(slope, b.user_row(a.other_user[e])[c], grad);
  }
  for (int64_t k = 0; k < a.dim + 2; ++k) {
    whole = multiply_add(w.shifted(i, k), w.s.user_gram[k * a.stride + c], whole);
  }
  grad += 2 * static_cast<T>(a.lambda) * b.gamma(0) * b.part(whole_item)[i] * whole;
  return c < a.dim ? grad + static_cast<T>(a.reg) * b.item_row(i)[c] : grad;
}

template <class T>
__global__ void __launch_bounds__(threads) score_pairs(const work<T> w) {
  const debias_block<T>& b = w.b;
  const int64_t r = warp_of_grid();
  if (r >= b.users) return;
  const int64_t u = b.user[r];
  for (int32_t e = b.user_start[r]; e < b.user_start[r + 1]; ++e) {
    const T x = warp_product(b.user_row(u), b.item_row(b.a.entry_item[e]), b.a.stride);
    if (lane_of_warp() != 0) continue;
    w.s.score[e - b.user_start[0]] = x;
    w.s.slope[e - b.user_start[0]] = debias_slope(b, debias_pair_of(b, u, e, x));
  }
}

// theta' of the rows that are in a uniform pair: users first, then items.
template <class T>
__global__ void __launch_bounds__(threads) move_rows(const work<T> w) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t r = warp_of_grid();
  if (r >= b.users + b.items) return;
  const bool of_user = r < b.users;
  const int64_t row = of_user ? b.user[r] : b.item[r - b.users];
  const int64_t slot = (of_user ? a.user_slot : a.item_slot)[row];
  if (slot == 0) return;
  const T* from = of_user ? b.user_row(row) : b.item_row(row);
  T* to = (of_user ? w.s.moved_users : w.s.moved_items) + slot * a.stride;
  for (int64_t c = lane_of_warp(); c < a.stride; c += warp) {
    const T grad = of_user ? user_gradient(w, r, c) : item_gradient(w, r - b.users, c);
    to[c] = from[c] - static_cast<T>(a.eta) * grad;
  }
}

// Those that are not in the block stay as they are.
template <class T>
__global__ void __launch_bounds__(threads) place_others(const work<T> w) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t k = warp_of_grid();
  if (k >= a.num_uniform_users + a.num_uniform_items) return;
  const bool of_user = k < a.num_uniform_users;
  const int64_t at = of_user ? k : k - a.num_uniform_users;
  const int64_t row = (of_user ? a.uniform_users : a.uniform_items)[at];
  if (of_user ? b.has_user(row) : b.has_item(row)) return;
  const T* from = of_user ? b.user_row(row) : b.item_row(row);
  T* to = (of_user ? w.s.moved_users : w.s.moved_items) + (at + 1) * a.stride;
  for (int64_t c = lane_of_warp(); c < a.stride; c += warp) to[c] = from[c];
}

// grad L_U(theta') of the rows that the block moves. A warp's lanes take the same steps.
template <class T>
__global__ void __launch_bounds__(threads) step_rows(const work<T> w) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t k = warp_of_grid();
  if (k >= a.num_uniform_users + a.num_uniform_items) return;
  const bool of_user = k < a.num_uniform_users;
  const int64_t at = of_user ? k : k - a.num_uniform_users;
  const T* own = (of_user ? w.s.moved_users : w.s.moved_items) + (at + 1) * a.stride;
  const T* others = of_user ? w.s.moved_items : w.s.moved_users;
  const int32_t* start = of_user ? a.uniform_start : a.uniform_by_item;
  const int32_t* slots = of_user ? a.uniform_item : a.uniform_user;
  const int32_t* label = of_user ? a.uniform_label : a.uniform_item_label;
  T* step = (of_user ? w.s.user_steps : w.s.item_steps) + (at + 1) * a.stride;
  const bool moves = of_user ? b.has_user(a.uniform_users[at]) : b.has_item(a.uniform_items[at]);
  const int64_t fixed = of_user ? a.dim + 1 : a.dim;
  for (int64_t c = lane_of_warp(); c < a.stride; c += warp) step[c] = 0;
  for (int32_t e = start[at]; moves && e < start[at + 1]; ++e) {
    const T* other = others + int64_t{slots[e]} * a.stride;
    const T twice = 2 * (warp_product(own, other, a.stride) - static_cast<T>(label[e]));
    for (int64_t c = lane_of_warp(); c < a.stride; c += warp) {
      if (c != fixed) step[c] = multiply_add(twice, other[c], step[c]);
    }
  }
}

// row^T matrix other by a warp.
template <class T>
__device__ __forceinline__ T warp_form(const T* row, const T* matrix, const T* other, int64_t dim,
                                       int64_t stride) {
  T sum = 0;
  for (int64_t c = lane_of_warp(); c < dim; c += warp) {
    T of_column = 0;
    for (int64_t k = 0; k < dim; ++k) of_column = multiply_add(row[k], matrix[k * stride + c], of_column);
    sum = multiply_add(of_column, other[c], sum);
  }
  return group_sum<warp>(sum);
}

template <class T>
__global__ void __launch_bounds__(threads) user_weights(const work<T> w) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t r = warp_of_grid();
  if (r >= b.users) return;
  const int64_t u = b.user[r], slot = a.user_slot[u];
  const T* row = b.user_row(u);
  const T* step = w.s.user_steps + slot * a.stride;
  double sums[num_sums] = {};
  T of_pairs = 0, of_whole = 0;
  for (int32_t e = b.user_start[r]; e < b.user_start[r + 1]; ++e) {
    const int64_t i = a.entry_item[e], at = e - b.user_start[0];
    const T* item_step = w.s.item_steps + int64_t{a.item_slot[i]} * a.stride;
    const T s = warp_product(row, item_step, a.stride) + warp_product(step, b.item_row(i), a.stride);
    const debias_pair<T> k = debias_pair_of(b, u, e, w.s.score[at]);
    const debias_pair_gradient<T> grad = debias_gradient(b, k, s);
    of_pairs += grad.by_pair;
    of_whole += grad.by_shown + grad.by_missing;
    sums[label_0 + k.label] += static_cast<double>(grad.by_pair);
    sums[observed_0] += static_cast<double>(grad.by_missing);
    sums[observed_1] += static_cast<double>(grad.by_shown);
    sums[imputed_0] += static_cast<double>(grad.missing);
    sums[imputed_1 + k.label] += static_cast<double>(grad.shown);
    if (lane_of_warp() != 0) continue;
    w.s.by_pair[at] = grad.by_pair;
    w.s.by_whole[at] = grad.by_shown + grad.by_missing;
  }
  T whole = warp_form(row, w.s.item_step_gram, row, a.dim + 2, a.stride);
  whole += warp_form(row, w.s.item_gram, step, a.dim + 2, a.stride);
  if (lane_of_warp() != 0) return;
  for (int j = 0; j < loss; ++j) w.s.sums[j * b.users + r] = sums[j];
  w.s.gradient[a.offset[pair_user] + u] = of_pairs;
  const T factor =
      2 * static_cast<T>(a.eta) * static_cast<T>(a.lambda) * b.gamma(0) * b.part(whole_user)[u] / 5;
  w.s.gradient[a.offset[whole_user] + u] = of_whole - factor * whole;
}

template <class T>
__global__ void __launch_bounds__(threads) item_weights(const work<T> w) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t r = warp_of_grid();
  if (r >= b.items) return;
  const int64_t i = b.item[r], dim = a.dim + 2;
  const T* step = w.s.item_steps + int64_t{a.item_slot[i]} * a.stride;
  T of_pairs = 0, of_whole = 0, whole = 0;
  for (int32_t e = b.item_start[r] + lane_of_warp(); e < b.item_start[r + 1]; e += warp) {
    of_pairs += w.s.by_pair[a.other_entry[e] - b.user_start[0]];
    of_whole += w.s.by_whole[a.other_entry[e] - b.user_start[0]];
  }
  for (int64_t c = lane_of_warp(); c < dim; c += warp) {
    T of_steps = 0, of_users = 0;
    for (int64_t k = 0; k < dim; ++k) {
      of_steps = multiply_add(w.shifted(i, k), w.s.user_step_gram[k * a.stride + c], of_steps);
      of_users = multiply_add(w.shifted(i, k), w.s.user_gram[k * a.stride + c], of_users);
    }
    whole += of_steps * w.shifted(i, c) + of_users * step[c];
  }
  of_pairs = group_sum<warp>(of_pairs);
  of_whole = group_sum<warp>(of_whole);
  whole = group_sum<warp>(whole);
  if (lane_of_warp() != 0) return;
  w.s.gradient[a.offset[pair_item] + i] = of_pairs;
  const T factor =
      2 * static_cast<T>(a.eta) * static_cast<T>(a.lambda) * b.gamma(0) * b.part(whole_item)[i] / 5;
  w.s.gradient[a.offset[whole_item] + i] = of_whole - factor * whole;
}

// A block of threads takes a position.
template <class T>
__global__ void __launch_bounds__(mean_threads) position_weights(const work<T> w) {
  __shared__ double shared[mean_threads / warp];
  const debias_block<T>& b = w.b;
  const int32_t position = static_cast<int32_t>(blockIdx.x);
  double sum = 0;
  for (int64_t e = b.user_start[0] + threadIdx.x; e < b.user_start[b.users]; e += mean_threads) {
    if (b.a.entry_code[e] >> 1 == position) sum += static_cast<double>(w.s.by_pair[e - b.user_start[0]]);
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) w.s.gradient[b.a.offset[pair_position] + position] = static_cast<T>(sum);
}

// One block of threads sums what all users have, and the matrices' products.
template <class T>
__global__ void __launch_bounds__(mean_threads) few_weights(const work<T> w) {
  __shared__ double shared[mean_threads / warp];
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  double all[loss];
  for (int j = 0; j < loss; ++j) {
    double sum = 0;
    for (int64_t r = threadIdx.x; r < b.users; r += mean_threads) sum += w.s.sums[j * b.users + r];
    __syncthreads();
    all[j] = block_sum(sum, shared);
  }
  double of_whole = 0, of_agreement = 0;
  const auto times = [](const T* one, const T* other, int64_t i, int64_t j) {
    return static_cast<double>(one[i]) * static_cast<double>(other[j]);
  };
  for (int64_t at = threadIdx.x; at < (a.dim + 2) * a.stride; at += mean_threads) {
    of_whole +=
        times(w.s.user_step_gram, w.s.item_gram, at, at) + times(w.s.user_gram, w.s.item_step_gram, at, at);
  }
  // a and c' have a 1 at dim + 1 and dim: these rows of the matrices are sums over users and items.
  for (int64_t c = threadIdx.x; c < a.dim + 2; c += mean_threads) {
    const int64_t of_user = (a.dim + 1) * a.stride + c, of_item = a.dim * a.stride + c;
    of_agreement += times(w.s.user_step_gram, w.s.item_gram, of_user, of_item);
    of_agreement += times(w.s.user_gram, w.s.item_step_gram, of_user, of_item);
  }
  __syncthreads();
  of_whole = block_sum(of_whole, shared);
  __syncthreads();
  of_agreement = block_sum(of_agreement, shared);
  if (threadIdx.x != 0) return;
  const double factor = 2 * a.eta * a.lambda * static_cast<double>(b.gamma(0));
  all[observed_0] -= factor / 5 * of_whole;
  all[imputed_0] += factor * of_agreement;
  for (int j = 0; j < 2; ++j) w.s.gradient[a.offset[pair_label] + j] = static_cast<T>(all[label_0 + j]);
  for (int j = 0; j < 2; ++j)
    w.s.gradient[a.offset[whole_observed] + j] = static_cast<T>(all[observed_0 + j]);
  for (int j = 0; j < 3; ++j) {
    const auto m = static_cast<double>(b.part(imputed)[j]);
    w.s.gradient[a.offset[imputed] + j] = static_cast<T>(all[imputed_0 + j] * (1 - m * m));
  }
}

// A step of Adam on the parameters of a part, and their factors.
template <class T>
__global__ void __launch_bounds__(threads) adam(const debias_args<T> a, const T* gradient, int64_t first,
                                                int64_t last, const debias_adam by, bool tangent) {
  const int64_t at = first + grid_thread();
  if (at >= last) return;
  constexpr T beta1 = T(0.9), beta2 = T(0.999), epsilon = T(1e-8);
  T value = a.parameter[at];
  const T grad = multiply_add(static_cast<T>(by.decay), value, gradient[at]);
  const T moment = a.moment[at] + (1 - beta1) * (grad - a.moment[at]);
  const T square = beta2 * a.square[at] + (1 - beta2) * grad * grad;
  const T size = sqrt(square) * static_cast<T>(by.root_scale) + epsilon;
  value -= static_cast<T>(by.rate * by.rate_scale) * moment / size;
  const T bound = static_cast<T>(a.bound);
  if (!tangent) value = value > bound ? bound : value < -bound ? -bound : value;
  a.parameter[at] = value;
  a.moment[at] = moment;
  a.square[at] = square;
  a.factor[at] = tangent ? tanh(value) : exp(value / 5);
}

template <class T>
__global__ void __launch_bounds__(threads) slope_pairs(const work<T> w) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t r = warp_of_grid();
  if (r >= b.users) return;
  const T* row = b.user_row(b.user[r]);
  double sum = 0;
  for (int32_t e = b.user_start[r] + lane_of_warp(); e < b.user_start[r + 1]; e += warp) {
    const int64_t at = e - b.user_start[0];
    const debias_pair<T> k = debias_pair_of(b, b.user[r], e, w.s.score[at]);
    w.s.slope[at] = debias_slope(b, k);
    sum += static_cast<double>(debias_loss(b, k));
  }
  T size = 0;
  for (int64_t c = lane_of_warp(); c < a.dim; c += warp) size += row[c] * row[c];
  sum = group_sum<warp>(sum + a.reg / 2 * static_cast<double>(size));
  if (lane_of_warp() == 0) w.s.sums[loss * b.users + r] = sum;
}

template <class T>
__global__ void __launch_bounds__(threads) next_items(const work<T> w) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t r = warp_of_grid();
  if (r >= b.items) return;
  const T* row = b.item_row(b.item[r]);
  T size = 0;
  for (int64_t c = lane_of_warp(); c < a.stride; c += warp) {
    w.s.next_items[r * a.stride + c] = row[c] - static_cast<T>(a.eta) * item_gradient(w, r, c);
    if (c < a.dim) size += row[c] * row[c];
  }
  size = group_sum<warp>(size);
  if (lane_of_warp() == 0) w.s.size[r] = a.reg / 2 * static_cast<double>(size);
}

// A lane reads all of the row before it writes its columns.
template <class T>
__global__ void __launch_bounds__(threads) step_users(const work<T> w) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t r = warp_of_grid();
  constexpr int most = (512 + 2 + 15) / 16 * 16 / warp + 1;
  T next[most];
  if (r >= b.users) return;
  T* row = a.users + b.user[r] * a.stride;
  int held = 0;
  for (int64_t c = lane_of_warp(); c < a.stride; c += warp) {
    next[held++] = row[c] - static_cast<T>(a.eta) * user_gradient(w, r, c);
  }
  __syncwarp();
  held = 0;
  for (int64_t c = lane_of_warp(); c < a.stride; c += warp) row[c] = next[held++];
}

template <class T>
__global__ void __launch_bounds__(threads) put_items(const work<T> w) {
  const debias_block<T>& b = w.b;
  const int64_t at = grid_thread();
  if (at >= b.items * b.a.stride) return;
  const int64_t r = at / b.a.stride, c = at % b.a.stride;
  b.a.items[b.item[r] * b.a.stride + c] = w.s.next_items[at];
}

template <class T>
__global__ void __launch_bounds__(mean_threads) sum_loss(const work<T> w) {
  __shared__ double shared[mean_threads / warp];
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  double sum = 0, whole = 0;
  for (int64_t r = threadIdx.x; r < b.users; r += mean_threads) sum += w.s.sums[loss * b.users + r];
  for (int64_t r = threadIdx.x; r < b.items; r += mean_threads) sum += w.s.size[r];
  for (int64_t at = threadIdx.x; at < (a.dim + 2) * a.stride; at += mean_threads) {
    whole += static_cast<double>(w.s.user_gram[at]) * static_cast<double>(w.s.item_gram[at]);
  }
  sum = block_sum(sum + a.lambda * static_cast<double>(b.gamma(0)) * whole, shared);
  if (threadIdx.x == 0) *a.loss += sum;
}

inline unsigned warps_for(int64_t rows) { return blocks_for(rows, threads / warp); }

template <class T>
void learn(const work<T>& w, int64_t number) {
  const debias_args<T>& a = w.b.a;
  for (int part = 0; part < debias_parts; ++part) {
    const int64_t first = a.offset[part], last = a.offset[part + 1];
    if (!a.learned[part] || first == last) continue;
    const auto t = static_cast<double>(a.steps[part] + number - a.first_block + 1);
    const debias_adam by{a.rate[part], a.decay[part], 1 / (1 - __builtin_pow(0.9, t)),
                         1 / __builtin_sqrt(1 - __builtin_pow(0.999, t))};
    LAUNCH(adam<T>, blocks_for(last - first, threads), threads, 0, a.stream, a, w.s.gradient, first, last, by,
           part == imputed);
  }
}

template <class T>
void zero(T* values, int64_t count, void* stream) {
  const auto bytes = static_cast<size_t>(count) * sizeof(T);
  check(cudaMemsetAsync(values, 0, bytes, static_cast<cudaStream_t>(stream)), "cudaMemsetAsync of debias");
}

template <class T>
void step(const work<T>& w, int64_t number) {
  const debias_block<T>& b = w.b;
  const debias_args<T>& a = b.a;
  const int64_t uniform = a.num_uniform_users + a.num_uniform_items;
  zero(w.s.gradient, a.offset[debias_parts], a.stream);
  start_grams(w);
  LAUNCH(score_pairs<T>, warps_for(b.users), threads, 0, a.stream, w);
  LAUNCH(move_rows<T>, warps_for(b.users + b.items), threads, 0, a.stream, w);
  LAUNCH(place_others<T>, warps_for(uniform), threads, 0, a.stream, w);
  LAUNCH(step_rows<T>, warps_for(uniform), threads, 0, a.stream, w);
  start_gram(w, gram::user_steps, b.users, w.s.user_step_gram);
  start_gram(w, gram::item_steps, b.items, w.s.item_step_gram);
  LAUNCH(user_weights<T>, warps_for(b.users), threads, 0, a.stream, w);
  if (a.learned[pair_item] || a.learned[whole_item]) {
    LAUNCH(item_weights<T>, warps_for(b.items), threads, 0, a.stream, w);
  }
  if (a.num_positions > 0) {
    LAUNCH(position_weights<T>, static_cast<unsigned>(a.num_positions), mean_threads, 0, a.stream, w);
  }
  LAUNCH(few_weights<T>, 1, mean_threads, 0, a.stream, w);
  learn(w, number);
  start_grams(w);
  LAUNCH(slope_pairs<T>, warps_for(b.users), threads, 0, a.stream, w);
  LAUNCH(next_items<T>, warps_for(b.items), threads, 0, a.stream, w);
  LAUNCH(sum_loss<T>, 1, mean_threads, 0, a.stream, w);
  LAUNCH(step_users<T>, warps_for(b.users), threads, 0, a.stream, w);
  LAUNCH(put_items<T>, blocks_for(b.items * a.stride, threads), threads, 0, a.stream, w);
}

template <class T>
void debias_on_device(const debias_args<T>& a) {
  buffer_parts parts(a.scratch);
  const scratch<T> s = lay_out(a, parts);
  zero(s.user_steps, a.stride, a.stream);
  zero(s.item_steps, a.stride, a.stream);
  for (int64_t number = a.first_block; number < a.last_block; ++number) {
    step(work<T>{debias_block_of(a, number), s}, number);
  }
}

template <class T>
int64_t scratch_bytes(const debias_args<T>& a) {
  buffer_parts parts(nullptr);
  lay_out(a, parts);
  return parts.bytes();
}

}  // namespace

debias_kernels debias() {
  return {.f32 = debias_on_device<float>,
          .f64 = debias_on_device<double>,
          .scratch_f32 = scratch_bytes<float>,
          .scratch_f64 = scratch_bytes<double>};
}

}  // namespace pyrec::cuda
