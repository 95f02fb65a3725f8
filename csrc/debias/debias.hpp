#pragma once
// AutoDebias for matrix factorisation, in closed form: steps of its weights and of its vectors, block by block.
//
// A user's row is a = (p, b_u, 1), an item's row c = (q, 1, b_i), and the score x = a . c. A block is some users and some
// items; its loss is
//
//   L_T = sum_obs w1 (x - y)^2 + lambda sum_all w2 (x - m)^2 + reg / 2 (sum_users |p|^2 + sum_items |q|^2)
//
//   w1 = omega e_u e_i e_y e_p     over observed pairs; e = exp(phi / 5) by user, item, label and position
//   w2 = alpha_u beta_i gamma_o    over all pairs of the block; exp(psi / 5) by user, item, and whether observed
//   m  = tanh(chi)                 0 where not observed, - or + by label
//
// A step takes theta' = theta - eta grad L_T(theta), the gradient of L_U(theta') = sum_uniform (x' - y)^2 in phi, psi and
// chi, a step of Adam on these, and theta <- theta - eta grad L_T(theta) with the new weights. With (v, h) = grad L_U and
// s = v_u . c_i + a_u . h_i (csrc/agreement), c' = c - (0, 0, m_0):
//
//   dL_U/dw1 = -2 eta (x - y) s        dL_U/dw2 = -2 eta lambda (x - m) s        dL_U/dm = 2 eta lambda w2 s
//
//   S_A = sum alpha a a^T   S_C = sum beta c' c'^T   T_A = sum alpha a v^T   T_C = sum beta c' h^T      (csrc/whole)
//   sum_i beta (x - m_0)^2    = a^T S_C a                   gradient in a: 2 S_C a
//   sum_i beta (x - m_0) s    = a^T S_C v + a^T T_C a       sum_u alpha (x - m_0) s = c'^T T_A c' + c'^T S_A h
//   sum_all alpha beta s      = (sum alpha v) . (sum beta c') + (sum alpha a) . (sum beta h)
//
// Observed pairs correct these by their own gamma and m. A block costs O(pairs D + rows D^2), and never O(users items).
#include <cstdint>

namespace pyrec {

// phi, psi and chi lie one behind the other, in these parts.
enum debias_part {
  pair_user,
  pair_item,
  pair_label,
  pair_position,
  whole_user,
  whole_item,
  whole_observed,
  imputed
};
constexpr int debias_parts = 8;

// How a kind of parameters learns, by Adam as torch has it: decay is added to the gradient.
struct debias_adam {
  double rate;
  double decay;
  double rate_scale;  // 1 / (1 - beta1^t)
  double root_scale;  // 1 / sqrt(1 - beta2^t)
};

template <class T>
struct debias_args {
  int64_t num_users;
  int64_t num_items;
  int64_t num_pairs;
  int64_t num_positions;
  int64_t dim;  // of p and q
  int64_t
      stride;  // numbers of a row: dim + 2, and zeros up to a whole number of vectors of every instruction set

  T* users;  // (num_users, stride) a
  T* items;  // (num_items, stride) c

  // Blocks: those of users one behind the other, and for each those of items.
  int64_t users_per_block;
  int64_t items_per_block;
  const int32_t* user_order;   // (num_users,)
  const int32_t* item_order;   // (num_user_blocks, num_items)
  const int32_t* user_block;   // (num_users,) whose block
  const int32_t* item_block;   // (num_user_blocks, num_items)
  const int32_t* user_start;   // by block: where the entries of its users begin, and where the last one's end
  const int32_t* entry_item;   // (num_pairs,) by block, and in it by user
  const int32_t* entry_code;   // (num_pairs,) 2 position + whether positive
  const int32_t* entry_pair;   // (num_pairs,) which pair
  const int32_t* item_start;   // by block likewise, of the entries by item
  const int32_t* other_user;   // (num_pairs,) by block, and in it by item
  const int32_t* other_entry;  // (num_pairs,) which entry
  const T* weight;             // (num_pairs,) omega; null for 1

  // The uniform pairs, by user and by item. A user of one has a slot from 1 on, the others have slot 0.
  int64_t num_uniform_users;
  int64_t num_uniform_items;
  const int32_t* user_slot;           // (num_users,)
  const int32_t* item_slot;           // (num_items,)
  const int32_t* uniform_users;       // (num_uniform_users,) whose slot
  const int32_t* uniform_items;       // (num_uniform_items,)
  const int32_t* uniform_start;       // (num_uniform_users + 1,)
  const int32_t* uniform_item;        // (num_uniform,)
  const int32_t* uniform_label;       // (num_uniform,) y, -1 or 1
  const int32_t* uniform_by_item;     // (num_uniform_items + 1,)
  const int32_t* uniform_user;        // (num_uniform,)
  const int32_t* uniform_item_label;  // (num_uniform,)

  // phi, psi, chi: (num_parameters,); factor: exp(phi / 5), exp(psi / 5), tanh(chi).
  int64_t offset[debias_parts + 1];
  bool learned[debias_parts];
  T* parameter;
  T* factor;
  T* moment;
  T* square;
  double bound;                 // of |phi|, |psi|
  int64_t steps[debias_parts];  // of Adam so far
  double rate[debias_parts];
  double decay[debias_parts];

  double eta;
  double lambda;
  double reg;

  int64_t first_block;
  int64_t last_block;
  double* loss;  // (1,) += the sum of the blocks' L_T before their step, with the new weights

  void* scratch;  // of as many bytes as debias_kernels::scratch says
  void* stream;

  int64_t num_user_blocks() const { return (num_users + users_per_block - 1) / users_per_block; }
  int64_t num_item_blocks() const { return (num_items + items_per_block - 1) / items_per_block; }
};

struct debias_kernels {
  void (*f32)(const debias_args<float>&) = nullptr;
  void (*f64)(const debias_args<double>&) = nullptr;
  int64_t (*scratch_f32)(const debias_args<float>&) = nullptr;
  int64_t (*scratch_f64)(const debias_args<double>&) = nullptr;

  void run(const debias_args<float>& args) const { f32(args); }
  void run(const debias_args<double>& args) const { f64(args); }
  int64_t scratch(const debias_args<float>& args) const { return scratch_f32(args); }
  int64_t scratch(const debias_args<double>& args) const { return scratch_f64(args); }
};

}  // namespace pyrec
