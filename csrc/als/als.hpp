#pragma once
// Least squares of many rows against the same fixed vectors: a half-step of alternating least squares. Row r has
// the entries k in [indptr[r], indptr[r + 1]), f_k = vectors[indices[k]], o_k = offset[indices[k]], and
//
//   A_r x_r = b_r     A_r = s_r G + sum_k w_k f_k f_k^T + reg_r diag(penalty)     (dim, dim)
//                     b_r = s_r g + sum_k w_k (y_k - o_k) f_k                      (dim,)
//
// It is solved for a change of x_r as it is, block after block of columns p, with e_k = y_k - o_k - f_k . x_r:
//
//   d_p = (A_r)_pp^-1 (s_r (g - G x_r) - reg_r penalty x_r + sum_k w_k e_k f_k)_p
//   x_r += d_p     e_k -= f_kp . d_p
//
// With one block that is the solution, whatever x_r was but for its rounding. With more it is a round of block
// coordinate descent, which lowers the row's objective.
//
// G = sum_i c_i f_i f_i^T comes from `gram`. Rows of vectors and of G are padded with zeros to a multiple of
// als_padding columns, so that no kernel meets a part of a vector.
#include <cstdint>

#include "common/inline.hpp"
#include "common/rounding.hpp"

namespace pyrec {

constexpr int64_t als_padding = 16;
constexpr int64_t als_most_columns = 512;

template <class T>
struct als_args {
  T* x;  // (num_rows, dim)
  int64_t num_rows;
  int64_t dim;
  int64_t stride;  // dim, rounded up to als_padding

  const T* vectors;  // (num_fixed, stride)
  const T* offset;   // (num_fixed,); null for 0
  int64_t num_fixed;

  const int64_t* indptr;   // (num_rows + 1,)
  const int32_t* indices;  // (num_entries,) rows of vectors; one may be there twice
  int64_t num_entries;
  const T* weight;  // (num_entries,)
  const T* target;  // (num_entries,)

  const T* gram;     // (dim, stride) G, symmetric; null for 0
  const T* linear;   // (dim,) g; null for 0
  const T* scale;    // (num_rows,) s; null for 1
  const T* reg;      // (num_rows,)
  const T* penalty;  // (dim,); null for 1
  int64_t block;     // columns of a block: dim, or a multiple of als_padding below it

  T* error;      // (num_entries,) e after the row's last block
  double* loss;  // (num_rows,) sum_k w_k e_k^2 after it; 0 of a row that could not be solved
  int64_t*
      status;  // (2,) the first row whose A_r is not positive definite, and the first with numbers that are
               // not finite or (on a device) a bad index; num_rows where there is none

  void* scratch;        // (num_workers, bytes), the bytes being those of als_kernels::scratch
  int64_t num_workers;  // threads, or blocks of a device, that work at a time
  void* stream;         // on a device
};

template <class T>
struct gram_args {
  const T* vectors;  // (num_rows, stride)
  const T* weight;   // (num_rows,) c; null for 1
  int64_t num_rows;
  int64_t dim;
  int64_t stride;
  double* out;  // (dim, dim)
  void* scratch;
  void* stream;
};

struct als_kernels {
  bool checks_input = false;  // notes a bad index in status; else the binding checks
  void (*solve_f32)(const als_args<float>&);
  void (*solve_f64)(const als_args<double>&);
  int64_t (*scratch_f32)(const als_args<float>&);
  int64_t (*scratch_f64)(const als_args<double>&);
  void (*gram_f32)(const gram_args<float>&);
  void (*gram_f64)(const gram_args<double>&);

  void solve(const als_args<float>& a) const { solve_f32(a); }
  void solve(const als_args<double>& a) const { solve_f64(a); }
  int64_t scratch(const als_args<float>& a) const { return scratch_f32(a); }
  int64_t scratch(const als_args<double>& a) const { return scratch_f64(a); }
  void gram(const gram_args<float>& a) const { gram_f32(a); }
  void gram(const gram_args<double>& a) const { gram_f64(a); }
};

// A Gram matrix is summed by pieces of the rows, as many whatever the number of threads, one after the other.
constexpr int64_t gram_piece_rows = 1024;

PYREC_HOST_DEVICE constexpr PYREC_INLINE int64_t gram_pieces(int64_t num_rows, int64_t stride) {
  const int64_t most = stride <= 128 ? 64 : 8;
  const int64_t pieces = ceil_div(num_rows, gram_piece_rows);
  return pieces < 1 ? 1 : pieces < most ? pieces : most;
}

// Of a piece's scratch: its sums in float64 (stride, stride), and on the CPU sums in T and als_chunk weighted rows.
constexpr int64_t als_chunk = 32;  // entries, or rows of a Gram matrix, at a time
template <class T>
constexpr PYREC_INLINE int64_t gram_piece_bytes(int64_t stride) {
  return stride * stride * static_cast<int64_t>(sizeof(double) + sizeof(T)) +
         als_chunk * stride * static_cast<int64_t>(sizeof(T));
}

// A pivot at or below this share of its diagonal entry is rounding alone.
template <class T>
PYREC_HOST_DEVICE constexpr PYREC_INLINE T least_pivot() {
  return sizeof(T) == sizeof(float) ? T(1e-6) : T(2e-15);
}

}  // namespace pyrec
