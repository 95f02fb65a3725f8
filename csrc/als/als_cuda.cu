// A block of threads takes a row at a time. The block's system lies in shared memory where it fits, else in the
// scratch of its worker, which stays in the L2 cache. Entries are loaded a chunk at a time; a thread adds their
// products to tiles of 4 x 4 sums.
#include "als/als.hpp"
#include "common/cuda_block.cuh"
#include "common/cuda_launch.cuh"

namespace pyrec::cuda {

namespace {

constexpr int threads = 128;
constexpr int warps = threads / warp;
constexpr int tile = 4;
constexpr int64_t most_shared = 47 << 10;  // a launch needs no leave for so much

// Entries at a time: of the widest rows some 32 KB.
template <class T>
constexpr int chunk = 64 / sizeof(T);

// What a block of threads keeps in shared memory.
template <class T>
struct row_memory {
  T* x;         // (stride,)
  T* gradient;  // (columns,)
  T* diagonal;  // (columns,)
  T* weight;    // (chunk<T>,)
  T* rate;      // (chunk<T>,) w e
  T* entries;   // (chunk<T>, columns)
  T* system;    // (columns, columns), or in scratch
};

// Takes the parts of an array of T, one behind the other, each of whole 16 bytes.
template <class T>
__device__ __forceinline__ row_memory<T> lay_out(T* at, int64_t stride, int64_t columns, T* outside) {
  row_memory<T> m{};
  m.x = at;
  m.gradient = m.x + stride;
  m.diagonal = m.gradient + columns;
  m.weight = m.diagonal + columns;
  m.rate = m.weight + chunk<T>;
  m.entries = m.rate + chunk<T>;
  m.system = outside != nullptr ? outside : m.entries + chunk<T> * columns;
  return m;
}

template <class T>
int64_t shared_bytes(const als_args<T>& a, bool inside) {
  const int64_t columns = rounded_up(a.block, als_padding);
  const int64_t numbers = a.stride + 2 * columns + 2 * chunk<T> + chunk<T> * columns;
  return (numbers + (inside ? columns * columns : 0)) * static_cast<int64_t>(sizeof(T));
}

template <class T>
bool fits_inside(const als_args<T>& a) {
  return shared_bytes(a, true) <= most_shared;
}

__device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x); }

// Number t of the tiles of an upper triangle of `tiles` x `tiles`, row by row.
struct tile_place {
  int64_t row, column;
};
__device__ __forceinline__ tile_place place_of_tile(int64_t t, int64_t tiles) {
  int64_t row = 0;
  while (t >= tiles - row) t -= tiles - row++;
  return {row, row + t};
}

// system += sum_k weight_k entries_k entries_k^T in the tiles of the upper triangle; S is what they are summed in.
template <class S, class T>
__device__ __forceinline__ void add_products(S* system, const T* entries, const T* weight, int64_t columns,
                                             int count) {
  const int64_t tiles = columns / tile;
  for (int64_t t = thread(); t < tiles * (tiles + 1) / 2; t += threads) {
    const tile_place at = place_of_tile(t, tiles);
    T sum[tile][tile] = {};
    for (int k = 0; k < count; ++k) {
      const T* const entry = entries + k * columns;
#pragma unroll
      for (int i = 0; i < tile; ++i) {
        const T left = weight[k] * entry[at.row * tile + i];
        for (int j = 0; j < tile; ++j) sum[i][j] += left * entry[at.column * tile + j];
      }
    }
#pragma unroll
    for (int i = 0; i < tile; ++i) {
      for (int j = 0; j < tile; ++j) {
        system[(at.row * tile + i) * columns + at.column * tile + j] += static_cast<S>(sum[i][j]);
      }
    }
  }
}

template <class T>
__device__ __forceinline__ bool sound_entry(const als_args<T>& a, int64_t entry) {
  return a.indices[entry] >= 0 && a.indices[entry] < a.num_fixed;
}

// The product of a fixed row's columns and a vector in shared memory, the same in each lane of the warp.
template <class T>
__device__ __forceinline__ T warp_product(const T* row, const T* other, int64_t columns) {
  T sum = 0;
  for (int64_t first = 0; first < columns; first += warp) {
    const int64_t c = first + thread() % warp;
    if (c < columns) sum += row[c] * other[c];
  }
  return group_sum<warp>(sum);
}

// e of the row's entries at its x; whether all indices are sound, the same in each thread.
template <class T>
__device__ __forceinline__ bool start_errors(const als_args<T>& a, const row_memory<T>& m, int64_t begin,
                                             int64_t end) {
  bool sound = true;
  for (int64_t k = begin + thread() / warp; k < end; k += warps) {
    const bool good = sound_entry(a, k);
    const int64_t fixed = good ? a.indices[k] : 0;
    const T product = warp_product(a.vectors + fixed * a.stride, m.x, good ? a.stride : 0);
    const T offset = a.offset == nullptr || !good ? T(0) : a.offset[fixed];
    if (thread() % warp == 0) a.error[k] = a.target[k] - offset - product;
    sound = sound && good;
  }
  return __syncthreads_and(sound) != 0;
}

template <class T>
__device__ __forceinline__ void start_block(const als_args<T>& a, const row_memory<T>& m, T* system,
                                            int64_t row, int64_t from, int64_t columns, int64_t padded) {
  const T scale = a.scale == nullptr ? T(1) : a.scale[row];
  const bool any = a.gram != nullptr;
  for (int64_t i = thread() / warp; i < padded; i += warps) {
    for (int64_t j = thread() % warp; j < padded; j += warp) {
      T value = any && i < columns ? scale * a.gram[(from + i) * a.stride + from + j] : T(0);
      if (i == j && i < columns) {
        value += a.penalty == nullptr ? a.reg[row] : a.reg[row] * a.penalty[from + i];
      }
      system[i * padded + j] = value;
    }
  }
  for (int64_t i = thread(); i < padded; i += threads) {
    T value = 0;
    if (i < columns) {
      for (int64_t j = 0; any && j < a.dim; ++j) value -= a.gram[j * a.stride + from + i] * m.x[j];
      if (a.linear != nullptr) value += a.linear[from + i];
      const T reg = a.penalty == nullptr ? a.reg[row] : a.reg[row] * a.penalty[from + i];
      value = scale * value - reg * m.x[from + i];
    }
    m.gradient[i] = value;
  }
}

template <class T>
__device__ __forceinline__ void add_entries(const als_args<T>& a, const row_memory<T>& m, T* system,
                                            int64_t begin, int64_t end, int64_t from, int64_t padded) {
  for (int64_t first = begin; first < end; first += chunk<T>) {
    const int count = static_cast<int>(first + chunk<T> < end ? chunk<T> : end - first);
    __syncthreads();  // the chunk before has been used
    for (int k = thread() / warp; k < count; k += warps) {
      const T* const entry = a.vectors + int64_t{a.indices[first + k]} * a.stride + from;
      for (int64_t c = thread() % warp; c < padded; c += warp) m.entries[k * padded + c] = entry[c];
    }
    if (thread() < count) {
      m.weight[thread()] = a.weight[first + thread()];
      m.rate[thread()] = a.weight[first + thread()] * a.error[first + thread()];
    }
    __syncthreads();
    add_products(system, m.entries, m.weight, padded, count);
    for (int64_t i = thread(); i < padded; i += threads) {
      T sum = m.gradient[i];
      for (int k = 0; k < count; ++k) sum += m.rate[k] * m.entries[k * padded + i];
      m.gradient[i] = sum;
    }
  }
  __syncthreads();
}

// U in the place of the upper triangle, with 1 / diag(U) apart; false where a pivot is not positive. All threads see
// the same pivots, so they leave together.
template <class T>
__device__ __forceinline__ bool factorise(const row_memory<T>& m, T* system, int64_t columns,
                                          int64_t padded) {
  for (int64_t i = thread(); i < columns; i += threads) m.diagonal[i] = system[i * padded + i];
  __syncthreads();
  for (int64_t k = 0; k < columns; ++k) {
    T* const row = system + k * padded;
    const T pivot = row[k], whole = m.diagonal[k];
    if (!(pivot > least_pivot<T>() * whole)) return false;
    const T inverse = T(1) / sqrt(pivot);
    __syncthreads();  // all have read the pivot and its diagonal entry
    for (int64_t j = k + thread(); j < columns; j += threads) row[j] *= inverse;
    if (thread() == 0) m.diagonal[k] = inverse;
    __syncthreads();
    for (int64_t i = k + 1 + thread() / warp; i < columns; i += warps) {
      const T rate = row[i];
      for (int64_t j = i + thread() % warp; j < columns; j += warp) system[i * padded + j] -= rate * row[j];
    }
    __syncthreads();
  }
  return true;
}

// gradient becomes U^-1 U^-T gradient.
template <class T>
__device__ __forceinline__ void back_substitute(const row_memory<T>& m, const T* system, int64_t columns,
                                                int64_t padded) {
  for (int64_t k = 0; k < columns; ++k) {
    const T value = m.gradient[k] * m.diagonal[k];
    __syncthreads();
    if (thread() == 0) m.gradient[k] = value;
    for (int64_t j = k + 1 + thread(); j < columns; j += threads) {
      m.gradient[j] -= value * system[k * padded + j];
    }
    __syncthreads();
  }
  for (int64_t k = columns - 1; k >= 0; --k) {
    const T value = m.gradient[k] * m.diagonal[k];
    __syncthreads();
    if (thread() == 0) m.gradient[k] = value;
    for (int64_t i = thread(); i < k; i += threads) m.gradient[i] -= value * system[i * padded + k];
    __syncthreads();
  }
}

// The row's sum of w e^2, and whether it and x are finite; both the same in each thread.
template <class T>
__device__ __forceinline__ double row_loss(const als_args<T>& a, const row_memory<T>& m, int64_t begin,
                                           int64_t end, bool* finite) {
  __shared__ double partial[warps];
  double sum = 0;
  for (int64_t first = begin; first < end; first += threads) {
    const int64_t k = first + thread();
    const double error = k < end ? static_cast<double>(a.error[k]) : 0.0;
    sum += k < end ? static_cast<double>(a.weight[k]) * error * error : 0.0;
  }
  bool good = sum - sum == 0;
  for (int64_t first = 0; first < a.dim; first += threads) {
    const int64_t c = first + thread();
    good = good && (c >= a.dim || m.x[c] - m.x[c] == 0);
  }
  sum = group_sum<warp>(sum);
  if (thread() % warp == 0) partial[thread() / warp] = sum;
  *finite = __syncthreads_and(good) != 0;
  double total = 0;
  for (int w = 0; w < warps; ++w) total += partial[w];
  __syncthreads();
  return total;
}

enum class outcome { solved, not_definite, not_finite };

template <class T>
__device__ __forceinline__ outcome solve_row(const als_args<T>& a, const row_memory<T>& m, T* system,
                                             int64_t row, double* loss) {
  const int64_t begin = a.indptr[row], end = a.indptr[row + 1];
  if (begin < 0 || end < begin || end > a.num_entries) return outcome::not_finite;
  __syncthreads();  // the row before has been used
  for (int64_t c = thread(); c < a.stride; c += threads) m.x[c] = c < a.dim ? a.x[row * a.dim + c] : T(0);
  __syncthreads();
  if (!start_errors(a, m, begin, end)) return outcome::not_finite;
  for (int64_t from = 0; from < a.dim; from += a.block) {
    const int64_t columns = from + a.block < a.dim ? a.block : a.dim - from;
    const int64_t padded = rounded_up(columns, als_padding);
    start_block(a, m, system, row, from, columns, padded);
    add_entries(a, m, system, begin, end, from, padded);
    if (!factorise(m, system, columns, padded)) return outcome::not_definite;
    back_substitute(m, system, columns, padded);
    for (int64_t i = thread(); i < columns; i += threads) m.x[from + i] += m.gradient[i];
    for (int64_t k = begin + thread() / warp; k < end; k += warps) {
      const T* const fixed = a.vectors + int64_t{a.indices[k]} * a.stride + from;
      const T product = warp_product(fixed, m.gradient, columns);
      if (thread() % warp == 0) a.error[k] -= product;
    }
    __syncthreads();
  }
  bool finite = false;
  *loss = row_loss(a, m, begin, end, &finite);
  return finite ? outcome::solved : outcome::not_finite;
}

template <class T>
__global__ void __launch_bounds__(threads)
    solve_rows(const als_args<T> a, bool inside, int64_t worker_bytes) {
  DYNAMIC_SHARED(T, shared);
  auto* const scratch = static_cast<unsigned char*>(a.scratch) + blockIdx.x * worker_bytes;
  T* const outside = inside ? nullptr : reinterpret_cast<T*>(scratch);
  const row_memory<T> m = lay_out(shared, a.stride, rounded_up(a.block, als_padding), outside);
  for (int64_t row = blockIdx.x; row < a.num_rows; row += gridDim.x) {
    double loss = 0;
    const outcome became = solve_row(a, m, m.system, row, &loss);
    if (became == outcome::solved) {
      for (int64_t c = thread(); c < a.dim; c += threads) a.x[row * a.dim + c] = m.x[c];
    } else if (thread() == 0) {
      auto* const first = reinterpret_cast<long long*>(a.status) + (became == outcome::not_finite);
      atomicMin(first, static_cast<long long>(row));
    }
    if (thread() == 0) a.loss[row] = became == outcome::solved ? loss : 0.0;
  }
}

template <class T>
__global__ void start_status(const als_args<T> a) {
  if (threadIdx.x < 2) a.status[threadIdx.x] = a.num_rows;
}

template <class T>
int64_t scratch_bytes(const als_args<T>& a) {
  const int64_t columns = rounded_up(a.block, als_padding);
  return fits_inside(a) ? 16 : columns * columns * static_cast<int64_t>(sizeof(T));
}

template <class T>
void solve(const als_args<T>& a) {
  LAUNCH(start_status<T>, 1, warp, 0, a.stream, a);
  if (a.num_rows == 0) return;
  const bool inside = fits_inside(a);
  const int64_t blocks = a.num_rows < a.num_workers ? a.num_rows : a.num_workers;
  LAUNCH(solve_rows<T>, static_cast<unsigned>(blocks), threads, static_cast<size_t>(shared_bytes(a, inside)),
         a.stream, a, inside, scratch_bytes(a));
}

// A block of threads sums a piece of the rows.
template <class T>
__global__ void __launch_bounds__(threads) gram_pieces_of(const gram_args<T> a, int64_t rows) {
  DYNAMIC_SHARED(T, entries);
  T* const weight = entries + chunk<T> * a.stride;
  double* const total = static_cast<double*>(a.scratch) + blockIdx.x * a.stride * a.stride;
  for (int64_t at = thread(); at < a.stride * a.stride; at += threads) total[at] = 0;
  const int64_t first = blockIdx.x * rows;
  const int64_t last = first + rows < a.num_rows ? first + rows : a.num_rows;
  for (int64_t start = first; start < last; start += chunk<T>) {
    const int count = static_cast<int>(start + chunk<T> < last ? chunk<T> : last - start);
    __syncthreads();
    for (int64_t at = thread(); at < count * a.stride; at += threads) {
      entries[at] = a.vectors[start * a.stride + at];
    }
    if (thread() < count) weight[thread()] = a.weight == nullptr ? T(1) : a.weight[start + thread()];
    __syncthreads();
    add_products(total, entries, weight, a.stride, count);
  }
}

template <class T>
__global__ void __launch_bounds__(threads) add_pieces(const gram_args<T> a, int64_t pieces) {
  const int64_t at = grid_thread();
  if (at >= a.dim * a.dim) return;
  const int64_t i = at / a.dim, j = at % a.dim;
  const int64_t from = i < j ? i * a.stride + j : j * a.stride + i;
  double sum = 0;
  for (int64_t piece = 0; piece < pieces; ++piece) {
    sum += static_cast<const double*>(a.scratch)[piece * a.stride * a.stride + from];
  }
  a.out[at] = sum;
}

template <class T>
void gram(const gram_args<T>& a) {
  const int64_t pieces = gram_pieces(a.num_rows, a.stride);
  const auto bytes = static_cast<size_t>(chunk<T> * (a.stride + 1)) * sizeof(T);
  LAUNCH(gram_pieces_of<T>, static_cast<unsigned>(pieces), threads, bytes, a.stream, a,
         ceil_div(a.num_rows, pieces));
  LAUNCH(add_pieces<T>, blocks_for(a.dim * a.dim, threads), threads, 0, a.stream, a, pieces);
}

}  // namespace

als_kernels als() {
  return {.checks_input = true,
          .solve_f32 = solve<float>,
          .solve_f64 = solve<double>,
          .scratch_f32 = scratch_bytes<float>,
          .scratch_f64 = scratch_bytes<double>,
          .gram_f32 = gram<float>,
          .gram_f64 = gram<double>};
}

}  // namespace pyrec::cuda
