#pragma once
// The k best items of each user by inner product, in one pass that keeps no score but those in the lists:
//
//   score[u, i] = sum over j ascending:  queries[u, j] * items[i, j]
//   list of u   = the first k of the candidates outside seen[u], by larger score, then by smaller id
//
// A candidate is an item, or one of `allowed`. Shorter lists end in id -1, score -inf. The order of items is
// total and each score is one fixed sum, so neither blocks, splits, threads nor the way of searching can
// change a list. There are two ways: all scores (topk_cpu.hpp), or by codes, of 8 bits (search_coded_cpu.hpp,
// which takes an instruction set that has topk_kernels.codes) or of 16 (topk_cuda.cu), whose products bound the
// scores, and only the scores that may count.
//
// Of finished scores, which models make otherwise, the same lists are selected in one pass over them
// (scores_cpu.hpp, scores_cuda.cuh).
#include <cstdint>

namespace pyrec {

constexpr int64_t topk_max_k = 1024;
constexpr int64_t topk_max_splits = 64;
constexpr int64_t topk_longest_coded = 512;  // dim that codes are made of

// How the CPU cuts a search. pyrec/ops/topk.py sizes the scratch by the same numbers; bench/NOTES.md tells where
// each is from.
constexpr int64_t topk_block_users = 96;   // that packed or coded candidates are shown to at a time
constexpr int64_t topk_sliced_rows = 256;  // so many candidates of vectors that are cut into slices
// A multiple of the items in a panel, whatever the instruction set.
constexpr int64_t topk_panel_multiple = 32;

// Of codes_cpu.hpp.
struct topk_panel_bounds {
  double inverse_scale;  // 1/s
  double rest_norm;      // the largest |f|
  double norm;           // the largest |x|
};

constexpr int64_t topk_device_tile_users = 128;  // users of a block on a CUDA device
constexpr int topk_device_blocks = 2;            // that a multiprocessor runs at once, with short queues

// What topk_args.faults holds.
constexpr int topk_unsound = 0;        // not 0: the input is wrong, and ids and scores are not written
constexpr int topk_largest_query = 1;  // bits of the largest magnitudes
constexpr int topk_largest_item = 2;
constexpr int64_t topk_fault_words = 3;

struct topk_args {
  const float* queries;  // (num_queries, dim)
  const float* items;    // (num_items, dim)
  int64_t num_queries;
  int64_t dim;
  int64_t k;

  const int32_t* allowed;  // (num_candidates,) ascending item ids; or null: candidate c is item c
  int64_t num_candidates;

  const int64_t* seen_indptr;   // (num_queries + 1,); or null
  const int32_t* seen_indices;  // (num_seen,) ascending in each row

  int64_t block_bytes;  // of candidates that stay in the second-level cache while users pass
  int64_t panel_rows;   // candidates that are packed or coded at a time, a multiple of topk_panel_multiple
  int64_t num_workers;  // threads at most that pack, each for itself
  float* panels;  // (num_workers, panel_rows, dim) scratch: the packed candidates; or null to search by codes
  uint32_t* largest;  // (num_splits,) bits of the largest magnitude of the items packed; or null not to look

  uint32_t* codes;            // (panel_rows, ceil(dim / 4)) scratch; or null to compute all scores
  int32_t* order;             // (panel_rows,) scratch: the items of the coded candidates
  topk_panel_bounds* bounds;  // (panel_rows / topk_panel_multiple,) scratch

  int64_t num_splits;  // parts of the candidates with lists of their own, merged at the end; 1 by codes
  uint64_t* keys;      // (num_splits, num_queries, k) scratch: those lists
  int32_t* ids;        // (num_queries, k)
  float* scores;       // (num_queries, k)

  // For kernels that check their input; null for the others.
  int64_t num_items;
  int64_t num_seen;
  uint32_t* faults;          // (topk_fault_words,)
  const int64_t* by_length;  // (num_candidates,) candidates by falling length; or null, in their order

  const float* finished;  // (num_queries, num_items) scores, for `select`: in place of queries and items
  void* scratch;          // of as many bytes as topk_kernels::scratch says
  void* stream;
};

// Lengths of the candidates' vectors, to sort them by; 0 where an id of `allowed` is none.
struct topk_lengths_args {
  const float* items;  // (num_items, dim)
  int64_t num_items;
  int64_t dim;
  const int32_t* allowed;  // (num_candidates,); or null
  int64_t num_candidates;
  double* lengths;  // (num_candidates,)
  void* stream;
};

struct topk_kernels {
  void (*search)(const topk_args&);
  bool codes = false;                          // whether it can search by codes of 8 bits
  bool checks = false;                         // search checks its input itself, needs scratch and no panels
  void (*select)(const topk_args&) = nullptr;  // of finished scores; needs faults, keys, ids and scores
  int64_t (*scratch)(const topk_args&) = nullptr;
  void (*lengths)(const topk_lengths_args&) = nullptr;
};

}  // namespace pyrec
