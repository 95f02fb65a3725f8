// A block takes a tile of users and goes through the candidates of its split, a tile of them at a time, by
// products of their codes. Candidates whose score may reach the user's k-th best so far enter the user's
// queue in shared memory; when one is full, the block merges those that are half full into their lists, for
// which they get their scores, and goes on with the candidates that found no room.
//
// Candidates by falling length: the block ends where no user's vector times the next tile's longest could
// reach that user's k-th best.
#include "topk/check_cuda.cuh"
#include "topk/queue_cuda.cuh"
#include "topk/scan_cuda.cuh"

namespace pyrec::cuda {

namespace {

constexpr int short_queue = 32;  // for lists of up to short_list, and where there is no room for more
constexpr int long_queue = 128;
constexpr int64_t short_list = 128;
constexpr int tiles_between_looks = 4;  // whether any user is open

template <int Capacity>
struct alignas(16) tile_memory {
  code_row users[2][tile_users];
  code_row candidates[2][tile_items];
  query_bound bounds[tile_users];
  uint64_t worst[tile_users];      // k-th best key of each list
  uint64_t keys[warps][Capacity];  // for a warp's merging
  int32_t queue[tile_users][Capacity];
  int count[tile_users];  // candidates that have come to each queue, those without room among them
};

// What a block has to do.
struct block_task {
  int64_t first_user;
  int64_t split;
  int64_t first_tile, last_tile;  // of candidates
  int num_slices;

  __device__ block_task(const topk_args& a, const code_parts& parts)
      : first_user(int64_t{blockIdx.x} * tile_users),
        split(blockIdx.y),
        first_tile(parts.num_tiles * split / a.num_splits),
        last_tile(parts.num_tiles * (split + 1) / a.num_splits),
        num_slices(static_cast<int>((parts.columns + slice - 1) / slice)) {}
};

template <int Capacity>
__device__ __forceinline__ void start_lists(const topk_args& a, const code_parts& parts,
                                            const block_task& task, tile_memory<Capacity>& memory) {
  const int64_t left = a.num_queries - task.first_user;
  const int64_t users = left < tile_users ? left : tile_users;
  uint64_t* const lists = list_of(a, task.split, task.first_user);
  for (int64_t i = threadIdx.x; i < users * a.k; i += threads) lists[i] = nothing;
  constexpr float unreachable = 3.402823466e38f;
  for (int user = static_cast<int>(threadIdx.x); user < tile_users; user += threads) {
    memory.worst[user] = user < users ? nothing : to_key(unreachable, 0);
    memory.bounds[user] = parts.query_bounds[task.first_user + user];
    memory.count[user] = 0;
  }
}

// The slices of a block's tiles, one after the other; users have but one set of slices.
template <int Capacity>
__device__ __forceinline__ void start_slices(const code_parts& parts, const block_task& task, int64_t tile,
                                             int index, int side, bool users, tile_memory<Capacity>& memory) {
  const int64_t column = int64_t{index} * slice;
  if (users) {
    const uint16_t* codes = parts.queries + task.first_user * parts.columns;
    start_slice<tile_users>(codes, parts.columns, column, memory.users[side]);
  }
  const uint16_t* codes = parts.candidates + tile * tile_items * parts.columns;
  start_slice<tile_items>(codes, parts.columns, column, memory.candidates[side]);
}

// The least product of codes at which the score may still reach `score`.
__device__ __forceinline__ float least_product(const query_bound& q, const tile_bound& x, float score) {
  constexpr float up = 1 + 0x1p-20f, down = 0x1p-22f;
  const float margin = (q.coded * x.left + (q.left * x.whole + q.rest)) * up;
  const float least = score - margin;
  return least - fabsf(least) * down;
}

// open: a bit for each product that has yet to be looked at. Candidates that may be among the user's best
// enter the queue; returns the bits of those that found it full.
template <int Capacity>
__device__ __forceinline__ uint64_t offer_candidates(const topk_args& a, const code_parts& parts,
                                                     const thread_place& at, const warp_products& products,
                                                     int64_t tile, uint64_t open,
                                                     tile_memory<Capacity>& memory) {
  constexpr int columns = thread_place::columns;
  const tile_bound bound = parts.tile_bounds[tile];
  uint64_t without_room = 0;
#pragma unroll
  for (int r = 0; r < thread_place::rows; ++r) {
    const int user = at.user(r);
    const float least = least_product(memory.bounds[user], bound, key_score(memory.worst[user]));
    float most = at.of(products, r, 0);
#pragma unroll
    for (int c = 1; c < columns; ++c) most = fmaxf(most, at.of(products, r, c));
    if (most < least) continue;
#pragma unroll
    for (int c = 0; c < columns; ++c) {
      const uint64_t bit = uint64_t{1} << (r * columns + c);
      const int64_t place = tile * tile_items + at.candidate(c);
      if (at.of(products, r, c) < least || (open & bit) == 0 || place >= a.num_candidates) continue;
      const int queued = atomicAdd(&memory.count[user], 1);
      if (queued < Capacity) {
        memory.queue[user][queued] = parts.ids[place];
      } else {
        without_room |= bit;
      }
    }
  }
  return without_room;
}

// A warp takes a queue of at least `fewest` candidates.
template <int Capacity, int V>
__device__ __forceinline__ void merge_queues(const topk_args& a, const thread_place& at,
                                             const block_task& task, int fewest,
                                             tile_memory<Capacity>& memory) {
  for (int user = at.warp_index; user < tile_users; user += warps) {
    const int count = min(memory.count[user], Capacity);
    if (count < fewest) continue;
    uint64_t* const list = list_of(a, task.split, task.first_user + user);
    merge_queue<Capacity, V>(a, task.first_user + user, list, memory.queue[user], count, memory.worst[user],
                             memory.keys[at.warp_index]);
    if (threadIdx.x % warp == 0) {
      memory.worst[user] = list[a.k - 1];
      memory.count[user] = 0;
    }
  }
}

// All products of a tile into queues, and those into lists where they are full.
template <int Capacity, int V>
__device__ __forceinline__ void select_candidates(const topk_args& a, const code_parts& parts,
                                                  const thread_place& at, const block_task& task,
                                                  const warp_products& products, int64_t tile,
                                                  tile_memory<Capacity>& memory) {
  uint64_t open = ~uint64_t{0};
  bool full;
  do {
    open = offer_candidates(a, parts, at, products, tile, open, memory);
    full = __syncthreads_or(open != 0) != 0;
    if (full) {
      merge_queues<Capacity, V>(a, at, task, Capacity / 2, memory);
      __syncthreads();
    }
  } while (full);
}

// Whether a candidate from `tile` on may still belong into a list; all threads ask.
template <int Capacity>
__device__ __forceinline__ bool any_open(const topk_args& a, const code_parts& parts, int64_t tile,
                                         const tile_memory<Capacity>& memory) {
  bool open = false;
  if (threadIdx.x < tile_users) {
    const double dim = static_cast<double>(a.dim);
    const double length = static_cast<double>(memory.bounds[threadIdx.x].whole);
    // A rounded sum may be that much above |q| |x|.
    const double most = length * parts.tile_bounds[tile].whole * (1 + dim * 0x1p-22) + dim * 0x1p-140;
    open = !(most < key_score(memory.worst[threadIdx.x]));
  }
  return __syncthreads_or(open) != 0;
}

template <int Capacity, int V>
__global__ void __launch_bounds__(threads, Capacity == short_queue ? 2 : 1)
    search(const topk_args a, const code_parts parts) {
  if (a.found[topk_unsound] != 0) return;
  DYNAMIC_SHARED(tile_memory<Capacity>, memory);
  const block_task task(a, parts);
  const thread_place at;
  start_lists(a, parts, task, *memory);
  if (task.first_tile == task.last_tile) return;
  start_slices(parts, task, task.first_tile, 0, 0, true, *memory);
  const bool one_slice = task.num_slices == 1;
  int side = 0;
  for (int64_t tile = task.first_tile; tile < task.last_tile; ++tile) {
    warp_products products = {};
    for (int i = 0; i < task.num_slices; ++i) {
      end_copies();
      __syncthreads();  // this slice is there, and nobody reads the other side any more
      const bool last_slice = i + 1 == task.num_slices;
      const int64_t next = last_slice ? tile + 1 : tile;
      if (next < task.last_tile) {
        start_slices(parts, task, next, last_slice ? 0 : i + 1, 1 - side, !one_slice, *memory);
      }
      const int64_t columns = parts.columns - int64_t{i} * slice;
      const int steps = static_cast<int>(columns < slice ? columns : slice) / 16;
      multiply(at, memory->users[one_slice ? 0 : side], memory->candidates[side], steps, products);
      side = 1 - side;
    }
    select_candidates<Capacity, V>(a, parts, at, task, products, tile, *memory);
    const bool look = a.by_length != nullptr && tile % tiles_between_looks == 0;
    if (look && tile + 1 < task.last_tile && !any_open(a, parts, tile + 1, *memory)) break;
  }
  end_copies();
  __syncthreads();
  merge_queues<Capacity, V>(a, at, task, 1, *memory);
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

template <int Capacity, int V>
void start_search(const topk_args& a, const code_parts& parts) {
  constexpr size_t bytes = sizeof(tile_memory<Capacity>);
  const auto kernel = search<Capacity, V>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "cudaFuncSetAttribute of topk's search");
  const dim3 grid(blocks_for(a.num_queries, tile_users), static_cast<unsigned>(a.num_splits));
  LAUNCH(kernel, grid, threads, bytes, a.stream, a, parts);
}

// The shared memory that a block of the current device may have.
size_t most_shared_memory() {
  int device = 0, bytes = 0;
  check(cudaGetDevice(&device), "finding the current CUDA device");
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "asking for a block's shared memory");
  return static_cast<size_t>(bytes);
}

template <int V>
void start_search(const topk_args& a, const code_parts& parts) {
  const bool room = sizeof(tile_memory<long_queue>) <= most_shared_memory();
  a.k > short_list&& room ? start_search<long_queue, V>(a, parts) : start_search<short_queue, V>(a, parts);
}

void topk_search(const topk_args& a) {
  start_checks(a);
  if (a.num_queries == 0) return;
  code_parts parts;
  lay_out(a, parts);
  start_encoding(a, parts);
  a.dim % 4 == 0 && aligned(a.queries) && aligned(a.items) ? start_search<4>(a, parts)
                                                           : start_search<1>(a, parts);
  LAUNCH(finish_lists, blocks_for(a.num_queries, 1), threads, 0, a.stream, a);
}

int64_t scratch_bytes(const topk_args& a) {
  code_parts parts;
  return lay_out(a, parts);
}

}  // namespace

topk_kernels topk() {
  return {.search = topk_search, .checks = true, .scratch = scratch_bytes, .lengths = measure_lengths};
}

}  // namespace pyrec::cuda
