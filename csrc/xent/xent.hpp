#pragma once
// The logarithm of a softmax's sum over a pool of items, for each of many users, without an array of users by items:
//
//   s_uj = u . x_j - o_j        L_u = log sum_j exp(s_uj)        p_uj = exp(s_uj - L_u)
//
// over the items j of the pool but those whose id is the user's own. With g_u the gradient of L_u:
//
//   m_u = sum_j p_uj x_j        du = g_u m_u        dx_j = sum_u g_u p_uj u        do_j = -sum_u g_u p_uj
//
// The forward pass goes through the pool a tile at a time with the largest score so far and what was summed relative to
// it, and leaves m_u where it is asked for. The backward pass goes through the users for each tile of items; it makes p
// again from max_j s_uj and sum_j exp(s_uj - max), since L alone may lack their digits.
#include <cstdint>

#include "common/function_table.hpp"

namespace pyrec {

constexpr int64_t max_xent_dim = 65536;

template <class T>
struct xent_input {
  const T* users;      // (num_users, dim) u
  const T* pool;       // (num_items, dim) x
  const T* offset;     // (num_items,) o; null where has_offset is false, for 0
  const int64_t* own;  // (num_users,) an id; null where no item is left out
  const int64_t* ids;  // (num_items,) of the items, with own
  int64_t num_users;
  int64_t num_items;
  int64_t dim;
  bool has_offset;
};

template <class T>
struct xent_args {
  xent_input<T> input;
  T* log_total;  // (num_users,) L; minus infinity of no item
  T* largest;    // (num_users,) max_j s; the least finite number of no item
  T* total;      // (num_users,) sum_j exp(s - max)
  T* mean;       // (num_users, dim) m; null where it is not asked for
  void* scratch;
  int num_workers;
  void* stream;
};

template <class T>
struct xent_grad_args {
  xent_input<T> input;
  const T* largest;  // (num_users,)
  const T* rate;     // (num_users,) g / total, 0 of no item
  T* grad_pool;      // (num_items, dim)
  T* grad_offset;    // (num_items,); null where it is not asked for
  void* scratch;
  int num_workers;
  void* stream;
};

struct xent_kernels {
  bool checks_input = false;  // takes any id; else the binding checks
  function_table<xent_args<float>, xent_args<double>> log_total;
  function_table<xent_grad_args<float>, xent_grad_args<double>> grad;
  int64_t (*scratch_f32)(const xent_input<float>&, bool backward, int num_workers);  // bytes
  int64_t (*scratch_f64)(const xent_input<double>&, bool backward, int num_workers);

  int64_t scratch(const xent_input<float>& in, bool backward, int workers) const {
    return scratch_f32(in, backward, workers);
  }
  int64_t scratch(const xent_input<double>& in, bool backward, int workers) const {
    return scratch_f64(in, backward, workers);
  }
};

}  // namespace pyrec
