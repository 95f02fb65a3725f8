// A block takes a tile of users and goes through the candidates of its split, a tile of them at a time, by
// products of their codes. Candidates whose score may reach the user's k-th best so far enter the user's
// queue in shared memory. Between tiles, where a queue is getting full, the block merges the longer ones into
// their lists, for which candidates get their scores; where one is full within a tile, it does so at once and
// goes on with the candidates that found no room. Splits tell each other of their k-th best.
//
// Candidates by falling length: the block ends where no user's vector times the next tile's longest could
// reach that user's k-th best.
#include "topk/check_cuda.cuh"
#include "topk/queue_cuda.cuh"
#include "topk/scores_cuda.cuh"
#include "topk/tile_products_cuda.cuh"

namespace pyrec::cuda {

namespace {

constexpr int short_queue = 32;  // for lists of up to short_list, and where there is no room for more
constexpr int long_queue = 128;
constexpr int64_t short_list = 128;
constexpr int tiles_between_looks = 4;  // whether any user is open

// In shared memory, with the users' codes, one side or two, and the lists, where there is room, behind it.
template <int Capacity>
struct alignas(16) tile_memory {
  code_row candidates[2][tile_items];
  int32_t ids[2][tile_items];  // by the parity of the tile
  query_bound bounds[tile_users];
  const int32_t* seen[tile_users];
  uint64_t worst[tile_users];  // key that one has to be above: k-th best of the list, or of another split's
  uint64_t keys[warps][Capacity];  // for a warp's merging
  int32_t queue[tile_users][Capacity];
  int32_t num_seen[tile_users];
  float least[tile_users];  // product from which on a candidate of the tile may belong into the list
  int count[tile_users];    // candidates that have come to each queue, those without room among them

  __device__ code_row* users(int side) { return reinterpret_cast<code_row*>(this + 1) + side * tile_users; }
};

// How a search is cut, and where its lists are while it goes on.
struct search_plan {
  int num_slices;
  bool lists_inside;  // in shared memory

  __device__ int sides() const { return num_slices == 1 ? 1 : 2; }
};

// What a block has to do.
struct block_task {
  int64_t first_user;
  int first_tile, last_tile;  // of candidates
  int num_users;
  uint64_t* lists;  // (num_users, k)

  __device__ block_task(const topk_args& a, const code_parts& parts)
      : first_user(int64_t{blockIdx.x} * tile_users),
        first_tile(static_cast<int>(parts.num_tiles * blockIdx.y / a.num_splits)),
        last_tile(static_cast<int>(parts.num_tiles * (blockIdx.y + 1) / a.num_splits)),
        num_users(static_cast<int>(min(a.num_queries - first_user, int64_t{tile_users}))),
        lists(list_of(a, blockIdx.y, first_user)) {}
};

template <int Capacity>
__device__ __forceinline__ void start_lists(const topk_args& a, const code_parts& parts,
                                            const block_task& task, tile_memory<Capacity>& memory) {
  const auto k = static_cast<int>(a.k);
  for (int i = static_cast<int>(threadIdx.x); i < task.num_users * k; i += threads) task.lists[i] = empty_key;
  constexpr float unreachable = 3.402823466e38f;
  for (int user = static_cast<int>(threadIdx.x); user < tile_users; user += threads) {
    const bool there = user < task.num_users;
    const bool has_seen = there && a.seen_indptr != nullptr;
    const int64_t* row = has_seen ? a.seen_indptr + task.first_user + user : nullptr;
    memory.seen[user] = has_seen ? a.seen_indices + row[0] : nullptr;
    memory.num_seen[user] = has_seen ? static_cast<int32_t>(row[1] - row[0]) : 0;
    memory.worst[user] = there ? empty_key : to_key(unreachable, 0);
    memory.bounds[user] = parts.query_bounds[task.first_user + user];
    memory.count[user] = 0;
  }
}

// The slices of a block's tiles, one after the other; users have but one set of slices.
template <int Capacity>
__device__ __forceinline__ void start_slices(const code_parts& parts, const block_task& task, int tile,
                                             int index, int side, bool users, tile_memory<Capacity>& memory) {
  const auto columns = static_cast<int>(parts.columns);
  if (users) {
    const uint16_t* codes = parts.queries + task.first_user * parts.columns;
    start_slice<tile_users>(codes, columns, index * slice, memory.users(side));
  }
  const uint16_t* codes = parts.candidates + int64_t{tile} * tile_items * parts.columns;
  start_slice<tile_items>(codes, columns, index * slice, memory.candidates[side]);
  constexpr int ids_of_copy = 4;
  const int first = static_cast<int>(threadIdx.x) * ids_of_copy;
  if (index > 0 || first >= tile_items) return;
  start_copy(&memory.ids[tile % 2][first], parts.ids + int64_t{tile} * tile_items + first);
}

// The least product of codes at which the score may still reach `score`.
__device__ __forceinline__ float least_product(const query_bound& q, const tile_bound& x, float score) {
  constexpr float up = 1 + 0x1p-20f, down = 0x1p-22f;
  const float margin = (q.code_norm * x.rest_norm + (q.rest_norm * x.norm + q.underflow)) * up;
  const float least = score - margin;
  return least - fabsf(least) * down;
}

template <int Capacity>
__device__ __forceinline__ void set_least(const code_parts& parts, int user, int tile,
                                          tile_memory<Capacity>& memory) {
  memory.least[user] =
      least_product(memory.bounds[user], parts.tile_bounds[tile], key_score(memory.worst[user]));
}

// A bit for each product, row by row, that is not below its user's least.
template <int Capacity>
__device__ __forceinline__ uint64_t find_candidates(const thread_place& at, const warp_products& products,
                                                    const tile_memory<Capacity>& memory) {
  constexpr int columns = thread_place::columns;
  uint64_t found = 0;
#pragma unroll
  for (int r = 0; r < thread_place::rows; ++r) {
    const float least = memory.least[at.user(r)];
    float most = at.of(products, r, 0);
#pragma unroll
    for (int c = 1; c < columns; ++c) most = fmaxf(most, at.of(products, r, c));
    if (most < least) continue;
    uint32_t of_row = 0;
#pragma unroll
    for (int c = 0; c < columns; ++c) of_row |= at.of(products, r, c) < least ? 0u : 1u << c;
    found |= uint64_t{of_row} << (r * columns);
  }
  return found;
}

// open: those that have yet to enter their users' queues; returns those that find no room there.
template <int Capacity>
__device__ __forceinline__ uint64_t queue_candidates(const thread_place& at, const int32_t* ids,
                                                     uint64_t open, tile_memory<Capacity>& memory) {
  constexpr int columns = thread_place::columns;
  uint64_t without_room = 0;
  for (int r = 0; r < thread_place::rows; ++r) {
    auto of_row = static_cast<uint32_t>(open >> (r * columns)) & ((1u << columns) - 1);
    if (of_row == 0) continue;
    const int user = at.user(r);
    int queued = atomicAdd(&memory.count[user], __popc(of_row));
    for (; of_row != 0 && queued < Capacity; of_row &= of_row - 1) {
      memory.queue[user][queued++] = ids[at.candidate(__ffs(static_cast<int>(of_row)) - 1)];
    }
    without_room |= uint64_t{of_row} << (r * columns);
  }
  return without_room;
}

// last: the list's k-th best key.
template <int Capacity>
__device__ __forceinline__ void end_merge(const topk_args& a, const code_parts& parts, int64_t first_user,
                                          int user, int tile, uint64_t last, tile_memory<Capacity>& memory) {
  memory.count[user] = 0;
  if (last <= memory.worst[user]) return;
  memory.worst[user] = last;
  set_least(parts, user, tile, memory);
  if (a.num_splits == 1) return;
  atomicMax(reinterpret_cast<unsigned long long*>(parts.worst + first_user + user), last);
}

// A warp takes a queue of at least `fewest` candidates.
template <int Capacity, int V>
__device__ __forceinline__ void merge_queues(const topk_args& a, const code_parts& parts,
                                             const thread_place& at, const block_task& task, int tile,
                                             int fewest, tile_memory<Capacity>& memory) {
  for (int user = at.warp_index; user < tile_users; user += warps) {
    const int count = min(memory.count[user], Capacity);
    if (count < fewest) continue;
    uint64_t* const list = task.lists + user * a.k;
    const seen_items seen{memory.seen[user], memory.num_seen[user]};
    const auto score = [&](int32_t id) { return score_of<V>(a, task.first_user + user, id); };
    merge_queue<Capacity>(a, list, memory.queue[user], count, memory.worst[user], seen,
                          memory.keys[at.warp_index], score);
    if (threadIdx.x % warp == 0) end_merge(a, parts, task.first_user, user, tile, list[a.k - 1], memory);
    __syncwarp();
  }
}

// Before a tile: what other splits have found, and room in the queues.
template <int Capacity, int V>
__device__ __forceinline__ void prepare_tile(const topk_args& a, const code_parts& parts,
                                             const thread_place& at, const block_task& task, int tile,
                                             tile_memory<Capacity>& memory) {
  bool long_one = false;
  if (threadIdx.x < tile_users) {
    const auto user = static_cast<int>(threadIdx.x);
    long_one = memory.count[user] > Capacity / 2;
    if (a.num_splits > 1) {
      const uint64_t elsewhere = __ldcg(parts.worst + task.first_user + user);
      if (elsewhere > memory.worst[user]) memory.worst[user] = elsewhere;
    }
    set_least(parts, user, tile, memory);
  }
  if (__syncthreads_or(long_one) == 0) return;
  merge_queues<Capacity, V>(a, parts, at, task, tile, Capacity / 4, memory);
  __syncthreads();
}

// The candidates of a tile into queues, and those into lists where they are full.
template <int Capacity, int V>
__device__ __forceinline__ void select_candidates(const topk_args& a, const code_parts& parts,
                                                  const thread_place& at, const block_task& task,
                                                  const warp_products& products, int tile,
                                                  tile_memory<Capacity>& memory) {
  uint64_t open = find_candidates(at, products, memory);
  while (true) {
    open = queue_candidates(at, memory.ids[tile % 2], open, memory);
    if (__syncthreads_or(open != 0) == 0) return;
    merge_queues<Capacity, V>(a, parts, at, task, tile, Capacity / 2, memory);
    __syncthreads();
  }
}

// Whether a candidate from `tile` on may still belong into a list; all threads ask.
template <int Capacity>
__device__ __forceinline__ bool any_open(const topk_args& a, const code_parts& parts, int tile,
                                         const tile_memory<Capacity>& memory) {
  bool open = false;
  if (threadIdx.x < tile_users) {
    const double dim = static_cast<double>(a.dim);
    const double norm = static_cast<double>(memory.bounds[threadIdx.x].norm);
    // A rounded sum may be that much above |q| |x|.
    const double most = norm * parts.tile_bounds[tile].norm * (1 + dim * 0x1p-22) + dim * 0x1p-140;
    open = !(most < key_score(memory.worst[threadIdx.x]));
  }
  return __syncthreads_or(open) != 0;
}

template <int Capacity, int V>
__global__ void __launch_bounds__(threads, Capacity == short_queue && V == 4 ? topk_device_blocks : 1)
    search(const topk_args a, const code_parts parts, const search_plan plan) {
  if (a.faults[topk_unsound] != 0) return;
  DYNAMIC_SHARED(tile_memory<Capacity>, memory);
  block_task task(a, parts);
  if (plan.lists_inside) task.lists = reinterpret_cast<uint64_t*>(memory->users(plan.sides()));
  const thread_place at;
  start_lists(a, parts, task, *memory);
  const bool any = task.first_tile < task.last_tile;
  if (any) start_slices(parts, task, task.first_tile, 0, 0, true, *memory);
  int side = 0;
  for (int tile = task.first_tile; tile < task.last_tile; ++tile) {
    warp_products products;
    for (int i = 0; i < plan.num_slices; ++i) {
      end_copies();
      __syncthreads();  // this slice is there, and nobody reads the other side any more
      const bool last_slice = i + 1 == plan.num_slices;
      const int next = last_slice ? tile + 1 : tile;
      if (next < task.last_tile) {
        start_slices(parts, task, next, last_slice ? 0 : i + 1, 1 - side, plan.sides() == 2, *memory);
      }
      if (i == 0) {
        prepare_tile<Capacity, V>(a, parts, at, task, tile, *memory);
        clear(products);
      }
      const int64_t columns = parts.columns - int64_t{i} * slice;
      const int steps = static_cast<int>(columns < slice ? columns : slice) / 16;
      const code_row* users = memory->users(plan.sides() == 2 ? side : 0);
      multiply(at, users, memory->candidates[side], steps, products);
      side = 1 - side;
    }
    select_candidates<Capacity, V>(a, parts, at, task, products, tile, *memory);
    const bool look = a.by_length != nullptr && tile % tiles_between_looks == 0;
    if (look && tile + 1 < task.last_tile && !any_open(a, parts, tile + 1, *memory)) break;
  }
  end_copies();
  __syncthreads();
  if (any) merge_queues<Capacity, V>(a, parts, at, task, task.first_tile, 1, *memory);
  if (!plan.lists_inside) return;
  __syncthreads();
  uint64_t* const answer = list_of(a, blockIdx.y, task.first_user);
  const auto k = static_cast<int>(a.k);
  for (int i = static_cast<int>(threadIdx.x); i < task.num_users * k; i += threads) answer[i] = task.lists[i];
}

// The shared memory that a block of the current device may have.
size_t most_shared_memory() {
  int device = 0, bytes = 0;
  check(cudaGetDevice(&device), "finding the current CUDA device");
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "asking for a block's shared memory");
  return static_cast<size_t>(bytes);
}

// Lists go into shared memory where a multiprocessor still has room for two blocks.
template <int Capacity, int V>
void start_search(const topk_args& a, const code_parts& parts, size_t most_bytes) {
  constexpr size_t of_side = sizeof(code_row) * tile_users;
  // A multiprocessor of compute capability 9.0 has 228 KB, of which the system takes 1 from each block.
  constexpr size_t of_a_pair = 110 << 10;
  search_plan plan{.num_slices = static_cast<int>(ceil_div(parts.columns, slice)), .lists_inside = false};
  size_t bytes = sizeof(tile_memory<Capacity>) + (plan.num_slices == 1 ? 1 : 2) * of_side;
  const size_t with_lists = bytes + tile_users * static_cast<size_t>(a.k) * sizeof(uint64_t);
  plan.lists_inside = with_lists <= most_bytes && with_lists <= of_a_pair;
  if (plan.lists_inside) bytes = with_lists;
  const auto kernel = search<Capacity, V>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "cudaFuncSetAttribute of topk's search");
  const dim3 grid(blocks_for(a.num_queries, tile_users), static_cast<unsigned>(a.num_splits));
  LAUNCH(kernel, grid, threads, bytes, a.stream, a, parts, plan);
}

template <int V>
void start_search(const topk_args& a, const code_parts& parts) {
  const size_t most = most_shared_memory();
  const bool room = sizeof(tile_memory<long_queue>) + 2 * sizeof(code_row) * tile_users <= most;
  a.k > short_list&& room ? start_search<long_queue, V>(a, parts, most)
                          : start_search<short_queue, V>(a, parts, most);
}

void topk_search(const topk_args& a) {
  start_checks(a);
  if (a.num_queries == 0) return;
  buffer_parts buffer(a.scratch);
  const code_parts parts = lay_out(a, buffer);
  start_encoding(a, parts);
  a.dim % 4 == 0 && aligned(a.queries) && aligned(a.items) ? start_search<4>(a, parts)
                                                           : start_search<1>(a, parts);
  LAUNCH(finish_lists, blocks_for(a.num_queries, 1), threads, 0, a.stream, a);
}

int64_t scratch_bytes(const topk_args& a) {
  buffer_parts parts(nullptr);
  lay_out(a, parts);
  return parts.bytes();
}

}  // namespace

topk_kernels topk() {
  return {.search = topk_search,
          .checks = true,
          .select = topk_select,
          .scratch = scratch_bytes,
          .lengths = measure_lengths};
}

}  // namespace pyrec::cuda
