#pragma once
// A block of `debias`: who is in it, which entries are theirs, and the terms of an observed pair.
#include "common/inline.hpp"
#include "debias/debias.hpp"

namespace pyrec {

template <class T>
struct debias_block {
  debias_args<T> a;
  int64_t users;              // how many
  int64_t items;              //
  const int32_t* user;        // (users,) which
  const int32_t* item;        // (items,)
  const int32_t* user_start;  // (users + 1,) of entries
  const int32_t* item_start;  // (items + 1,)
  const int32_t* item_block;  // (num_items,) whose block, for these users
  int32_t user_number;        // of the block among those of users
  int32_t item_number;        //

  PYREC_HOST_DEVICE PYREC_INLINE T* part(debias_part which) const { return a.factor + a.offset[which]; }
  PYREC_HOST_DEVICE PYREC_INLINE T missing() const { return part(imputed)[0]; }
  PYREC_HOST_DEVICE PYREC_INLINE T gamma(int observed) const { return part(whole_observed)[observed]; }
  PYREC_HOST_DEVICE PYREC_INLINE const T* user_row(int64_t u) const { return a.users + u * a.stride; }
  PYREC_HOST_DEVICE PYREC_INLINE const T* item_row(int64_t i) const { return a.items + i * a.stride; }
  PYREC_HOST_DEVICE PYREC_INLINE bool has_user(int64_t u) const { return a.user_block[u] == user_number; }
  PYREC_HOST_DEVICE PYREC_INLINE bool has_item(int64_t i) const { return item_block[i] == item_number; }
};

template <class T>
PYREC_INLINE debias_block<T> debias_block_of(const debias_args<T>& a, int64_t number) {
  const int64_t by_items = a.num_item_blocks();
  const int64_t of_users = number / by_items;
  const int64_t of_items = number % by_items;
  const int64_t first_user = of_users * a.users_per_block;
  const int64_t first_item = of_items * a.items_per_block;
  const int64_t more_users = a.num_users - first_user;
  const int64_t more_items = a.num_items - first_item;
  const int64_t users = more_users < a.users_per_block ? more_users : a.users_per_block;
  const int64_t items = more_items < a.items_per_block ? more_items : a.items_per_block;
  return {.a = a,
          .users = users,
          .items = items,
          .user = a.user_order + first_user,
          .item = a.item_order + of_users * a.num_items + first_item,
          .user_start = a.user_start + (first_user + of_users) * by_items + of_items * (users + 1),
          .item_start = a.item_start + number + of_users * a.num_items + first_item,
          .item_block = a.item_block + of_users * a.num_items,
          .user_number = static_cast<int32_t>(of_users),
          .item_number = static_cast<int32_t>(of_items)};
}

// An observed pair with score x.
template <class T>
struct debias_pair {
  T weight;   // w1
  T whole;    // alpha beta
  T error;    // x - y
  T shown;    // x - m_y
  T missing;  // x - m_0
  int label;  // 0 or 1
  int64_t position;
};

template <class T>
PYREC_HOST_DEVICE PYREC_INLINE debias_pair<T> debias_pair_of(const debias_block<T>& b, int64_t u, int64_t e,
                                                             T x) {
  const debias_args<T>& a = b.a;
  const int64_t i = a.entry_item[e];
  const int32_t code = a.entry_code[e];
  const int label = code & 1;
  T weight = b.part(pair_user)[u] * b.part(pair_item)[i] * b.part(pair_label)[label];
  if (a.num_positions > 0) weight *= b.part(pair_position)[code >> 1];
  if (a.weight != nullptr) weight *= a.weight[a.entry_pair[e]];
  return {.weight = weight,
          .whole = b.part(whole_user)[u] * b.part(whole_item)[i],
          .error = x - static_cast<T>(2 * label - 1),
          .shown = x - b.part(imputed)[1 + label],
          .missing = x - b.missing(),
          .label = label,
          .position = code >> 1};
}

// dL_T/dx of an observed pair, beside the term of all pairs.
template <class T>
PYREC_HOST_DEVICE PYREC_INLINE T debias_slope(const debias_block<T>& b, const debias_pair<T>& k) {
  const T whole = b.gamma(1) * k.shown - b.gamma(0) * k.missing;
  return 2 * (k.weight * k.error + static_cast<T>(b.a.lambda) * k.whole * whole);
}

// What an observed pair adds to L_T likewise.
template <class T>
PYREC_HOST_DEVICE PYREC_INLINE T debias_loss(const debias_block<T>& b, const debias_pair<T>& k) {
  const T whole = b.gamma(1) * k.shown * k.shown - b.gamma(0) * k.missing * k.missing;
  return k.weight * k.error * k.error + static_cast<T>(b.a.lambda) * k.whole * whole;
}

// What an observed pair with agreement s adds to gradients of L_U; the whole's own gamma_0 is taken off.
template <class T>
struct debias_pair_gradient {
  T by_pair;     // in phi, of each of its kinds
  T by_missing;  // in psi_0
  T by_shown;    // in psi_1
  T missing;     // in m_0
  T shown;       // in m_y
};

template <class T>
PYREC_HOST_DEVICE PYREC_INLINE debias_pair_gradient<T> debias_gradient(const debias_block<T>& b,
                                                                       const debias_pair<T>& k, T s) {
  const T eta = static_cast<T>(b.a.eta), lambda = static_cast<T>(b.a.lambda);
  const T by_imputed = 2 * eta * lambda * k.whole * s;
  const T shown = by_imputed * b.gamma(1), missing = by_imputed * b.gamma(0);
  return {.by_pair = -2 * eta * k.error * s * k.weight / 5,
          .by_missing = missing * k.missing / 5,
          .by_shown = -shown * k.shown / 5,
          .missing = -missing,
          .shown = shown};
}

}  // namespace pyrec
