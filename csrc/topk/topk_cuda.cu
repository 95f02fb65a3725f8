// A block takes a tile of users and goes through the candidates of its split, a tile of them at a time. Both
// pass through shared memory in slices of their vectors; while one slice is multiplied, the next is on its
// way in registers. A thread keeps 8 x 8 scores, each one chain of fused multiply-adds in ascending order of
// j.
//
// Scores that reach the user's k-th best so far enter the user's queue in shared memory. When one is full,
// the block merges those that are half full into their lists and goes on with the scores that found no room.
#include "common/cuda_vector.cuh"
#include "topk/check_cuda.cuh"
#include "topk/queue_cuda.cuh"

namespace pyrec::cuda {

namespace {

constexpr int threads = 128;
constexpr int warps = threads / warp;
constexpr int tile_users = topk_device_tile_users;
constexpr int tile_items = 128;
constexpr int rows_of_thread = 8;
constexpr int columns_of_thread = 8;

// A row of a slice lies 20 words behind the one before: eight rows' 16 bytes at a column lie in all 32 banks.
constexpr int slice = 16;
constexpr int slice_stride = slice + 4;
constexpr int quads = slice / 4;

constexpr int short_queue = 32;  // for lists of up to short_list
constexpr int long_queue = 128;
constexpr int64_t short_list = 128;

using slice_row = float[slice_stride];

template <int Capacity>
struct alignas(16) tile_memory {
  slice_row users[2][tile_users];
  slice_row items[2][tile_items];
  uint64_t queue[tile_users][Capacity];
  uint64_t worst[tile_users];  // k-th best key of each list
  int count[tile_users];       // keys that have come to each queue, those without room among them
};

// A thread's part of a slice between global and shared memory. Eight lanes take eight rows at one column.
struct staged_slice {
  static constexpr int user_rows = tile_users / (8 * warps);
  static constexpr int item_rows = tile_items / (8 * warps);
  float4 users[user_rows];
  float4 items[item_rows];
};

struct thread_place {
  int lane = static_cast<int>(threadIdx.x) % warp;
  int warp_index = static_cast<int>(threadIdx.x) / warp;

  __device__ int staged_row(int i) const { return (i * warps + warp_index) * 8 + lane % 8; }
  __device__ int staged_column() const { return lane / 8 * 4; }
  // A warp's scores are 32 x 64, two warps side by side.
  __device__ int user(int row) const { return warp_index / 2 * 32 + row * 4 + lane / 8; }
  __device__ int item(int column) const { return warp_index % 2 * 64 + column * 8 + lane % 8; }
};

// What a block has to do.
struct block_task {
  int64_t first_user;
  int64_t split;
  int64_t first_tile, last_tile;  // of candidates
  int num_slices;

  __device__ explicit block_task(const topk_args& a)
      : first_user(int64_t{blockIdx.x} * tile_users),
        split(blockIdx.y),
        num_slices(static_cast<int>((a.dim + slice - 1) / slice)) {
    const int64_t tiles = (a.num_candidates + tile_items - 1) / tile_items;
    first_tile = tiles * split / a.num_splits;
    last_tile = tiles * (split + 1) / a.num_splits;
  }
};

// Numbers [column, column + 4) of a row; zero behind its end and for no row.
template <int V>
__device__ __forceinline__ float4 read_quad(const float* row, int64_t column, int64_t dim) {
  if (row == nullptr || column >= dim) return make_float4(0, 0, 0, 0);
  if constexpr (V == 4) return load_vector<float4>(row + column);
  return make_float4(row[column], column + 1 < dim ? row[column + 1] : 0,
                     column + 2 < dim ? row[column + 2] : 0, column + 3 < dim ? row[column + 3] : 0);
}

__device__ __forceinline__ int32_t candidate_id(const topk_args& a, int64_t candidate) {
  return a.allowed != nullptr ? a.allowed[candidate] : static_cast<int32_t>(candidate);
}

template <int V>
__device__ __forceinline__ void read_slice(const topk_args& a, const thread_place& at, int64_t first_user,
                                           int64_t tile, int slice_index, staged_slice& staged) {
  const int64_t column = int64_t{slice_index} * slice + at.staged_column();
#pragma unroll
  for (int i = 0; i < staged_slice::user_rows; ++i) {
    const int64_t user = first_user + at.staged_row(i);
    const float* row = user < a.num_queries ? a.queries + user * a.dim : nullptr;
    staged.users[i] = read_quad<V>(row, column, a.dim);
  }
#pragma unroll
  for (int i = 0; i < staged_slice::item_rows; ++i) {
    const int64_t candidate = tile * tile_items + at.staged_row(i);
    const float* row = candidate < a.num_candidates ? a.items + candidate_id(a, candidate) * a.dim : nullptr;
    staged.items[i] = read_quad<V>(row, column, a.dim);
  }
}

__device__ __forceinline__ void store_slice(const thread_place& at, const staged_slice& staged,
                                            slice_row* users, slice_row* items) {
#pragma unroll
  for (int i = 0; i < staged_slice::user_rows; ++i) {
    store_vector(&users[at.staged_row(i)][at.staged_column()], staged.users[i]);
  }
#pragma unroll
  for (int i = 0; i < staged_slice::item_rows; ++i) {
    store_vector(&items[at.staged_row(i)][at.staged_column()], staged.items[i]);
  }
}

using thread_scores = float[rows_of_thread][columns_of_thread];

__device__ __forceinline__ void multiply(const thread_place& at, const slice_row* users,
                                         const slice_row* items, thread_scores& score) {
#pragma unroll 1  // more would take registers that there are not
  for (int quad = 0; quad < quads; ++quad) {
    float4 item[columns_of_thread];
#pragma unroll
    for (int c = 0; c < columns_of_thread; ++c) item[c] = load_vector<float4>(&items[at.item(c)][4 * quad]);
#pragma unroll
    for (int r = 0; r < rows_of_thread; ++r) {
      const float4 user = load_vector<float4>(&users[at.user(r)][4 * quad]);
#pragma unroll
      for (int c = 0; c < columns_of_thread; ++c) score[r][c] = __fmaf_rn(user.x, item[c].x, score[r][c]);
#pragma unroll
      for (int c = 0; c < columns_of_thread; ++c) score[r][c] = __fmaf_rn(user.y, item[c].y, score[r][c]);
#pragma unroll
      for (int c = 0; c < columns_of_thread; ++c) score[r][c] = __fmaf_rn(user.z, item[c].z, score[r][c]);
#pragma unroll
      for (int c = 0; c < columns_of_thread; ++c) score[r][c] = __fmaf_rn(user.w, item[c].w, score[r][c]);
    }
  }
}

// open: a bit for each score that has yet to be looked at. Those that may be among the user's best enter the
// queue; returns the bits of those that found it full.
template <int Capacity>
__device__ __forceinline__ uint64_t offer_scores(const topk_args& a, const thread_place& at,
                                                 tile_memory<Capacity>& memory, const thread_scores& score,
                                                 int64_t first, uint64_t open) {
  uint64_t without_room = 0;
#pragma unroll
  for (int r = 0; r < rows_of_thread; ++r) {
    const int user = at.user(r);
    const uint64_t worst = memory.worst[user];
    float best = score[r][0];
#pragma unroll
    for (int c = 1; c < columns_of_thread; ++c) best = fmaxf(best, score[r][c]);
    if (best < key_score(worst)) continue;
#pragma unroll
    for (int c = 0; c < columns_of_thread; ++c) {
      const uint64_t bit = uint64_t{1} << (r * columns_of_thread + c);
      const int64_t candidate = first + at.item(c);
      if (score[r][c] < key_score(worst) || (open & bit) == 0 || candidate >= a.num_candidates) continue;
      const uint64_t key = to_key(score[r][c], candidate_id(a, candidate));
      if (key <= worst) continue;
      const int place = atomicAdd(&memory.count[user], 1);
      if (place < Capacity) {
        memory.queue[user][place] = key;
      } else {
        without_room |= bit;
      }
    }
  }
  return without_room;
}

// A warp takes a queue of at least `fewest` keys.
template <int Capacity>
__device__ __forceinline__ void merge_queues(const topk_args& a, const thread_place& at,
                                             const block_task& task, tile_memory<Capacity>& memory,
                                             int fewest) {
  for (int user = at.warp_index; user < tile_users; user += warps) {
    const int count = min(memory.count[user], Capacity);
    if (count < fewest) continue;
    uint64_t* const list = list_of(a, task.split, task.first_user + user);
    merge_queue<Capacity>(a, task.first_user + user, list, memory.queue[user], count, memory.worst[user]);
    if (at.lane == 0) {
      memory.worst[user] = list[a.k - 1];
      memory.count[user] = 0;
    }
  }
}

// All scores of a tile of candidates, into queues and lists; after the last tile the queues are empty.
template <int Capacity>
__device__ __forceinline__ void select_scores(const topk_args& a, const thread_place& at,
                                              const block_task& task, tile_memory<Capacity>& memory,
                                              const thread_scores& score, int64_t tile) {
  const bool last = tile + 1 == task.last_tile;
  uint64_t open = ~uint64_t{0};
  bool full;
  do {
    open = offer_scores(a, at, memory, score, tile * tile_items, open);
    full = __syncthreads_or(open != 0) != 0;
    if (full || last) {
      merge_queues(a, at, task, memory, full ? Capacity / 2 : 1);
      __syncthreads();
    }
  } while (full);
}

template <int Capacity>
__device__ __forceinline__ void start_lists(const topk_args& a, const block_task& task,
                                            tile_memory<Capacity>& memory) {
  const int64_t left = a.num_queries - task.first_user;
  const int64_t users = left < tile_users ? left : tile_users;
  uint64_t* const lists = list_of(a, task.split, task.first_user);
  for (int64_t i = threadIdx.x; i < users * a.k; i += threads) lists[i] = nothing;
  for (int user = static_cast<int>(threadIdx.x); user < tile_users; user += threads) {
    memory.worst[user] = user < users ? nothing : to_key(INFINITY, 0);  // which no score reaches
    memory.count[user] = 0;
  }
}

template <int V, int Capacity>
__global__ void __launch_bounds__(threads, Capacity == short_queue ? 3 : 2) search(const topk_args a) {
  if (a.found[topk_unsound] != 0) return;
  DYNAMIC_SHARED(tile_memory<Capacity>, memory);
  const block_task task(a);
  const thread_place at;
  start_lists(a, task, *memory);
  if (task.first_tile == task.last_tile) return;

  staged_slice staged;
  read_slice<V>(a, at, task.first_user, task.first_tile, 0, staged);
  store_slice(at, staged, memory->users[0], memory->items[0]);
  __syncthreads();
  int side = 0;
  for (int64_t tile = task.first_tile; tile < task.last_tile; ++tile) {
    thread_scores score = {};
    for (int i = 0; i < task.num_slices; ++i) {
      const bool last_slice = i + 1 == task.num_slices;
      const int64_t next_tile = last_slice ? tile + 1 : tile;
      const bool more = next_tile < task.last_tile;
      if (more) read_slice<V>(a, at, task.first_user, next_tile, last_slice ? 0 : i + 1, staged);
      multiply(at, memory->users[side], memory->items[side], score);
      side = 1 - side;
      if (more) store_slice(at, staged, memory->users[side], memory->items[side]);
      if (last_slice) select_scores(a, at, task, *memory, score, tile);
      __syncthreads();
    }
  }
}

// A block merges the lists of a user's splits into the answer: a key's rank is the number of greater ones.
__global__ void __launch_bounds__(threads) finish_lists(const topk_args a) {
  if (a.found[topk_unsound] != 0) return;
  const int64_t user = blockIdx.x;
  const int k = static_cast<int>(a.k);
  for (int rank = static_cast<int>(threadIdx.x); rank < k; rank += threads) {
    a.scores[user * k + rank] = -INFINITY;
    a.ids[user * k + rank] = -1;
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < a.num_splits * k; i += threads) {
    const int split = i / k;
    const uint64_t key = list_of(a, split, user)[i % k];
    if (key == nothing) continue;
    int rank = i % k;
    for (int other = 0; other < a.num_splits && rank < k; ++other) {
      if (other != split) rank += count_greater(list_of(a, other, user), k, key);
    }
    if (rank >= k) continue;
    a.scores[user * k + rank] = key_score(key);
    a.ids[user * k + rank] = key_id(key);
  }
}

template <int V, int Capacity>
void start_search(const topk_args& a) {
  constexpr size_t bytes = sizeof(tile_memory<Capacity>);
  const auto kernel = search<V, Capacity>;
  if constexpr (bytes > 48 * 1024) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "cudaFuncSetAttribute of topk's search");
  }
  const dim3 grid(blocks_for(a.num_queries, tile_users), static_cast<unsigned>(a.num_splits));
  LAUNCH(kernel, grid, threads, bytes, a.stream, a);
}

template <int V>
void start_search(const topk_args& a) {
  a.k <= short_list ? start_search<V, short_queue>(a) : start_search<V, long_queue>(a);
}

void topk_search(const topk_args& a) {
  start_checks(a);
  if (a.num_queries == 0) return;
  a.dim % 4 == 0 && aligned(a.queries) && aligned(a.items) ? start_search<4>(a) : start_search<1>(a);
  LAUNCH(finish_lists, blocks_for(a.num_queries, 1), threads, 0, a.stream, a);
}

}  // namespace

topk_kernels topk() { return {.search = topk_search, .checks = true}; }

}  // namespace pyrec::cuda
