#pragma once
// The pairs of `debias` as its steps read them: cut into blocks of users and items, and in each by user and by item.
#include <cstdint>
#include <vector>

#include "debias/debias.hpp"

namespace pyrec {

class debias_plan {
 public:
  // indptr: (num_users + 1,) of the observed pairs; items: (num_pairs,), ascending for each user; codes: (num_pairs,)
  // 2 position + whether positive; uniform pairs: (num_uniform,) each, labels -1 or 1. All have been checked.
  debias_plan(int64_t num_users, int64_t num_items, const int64_t* indptr, const int32_t* items,
              const int32_t* codes, int64_t num_positions, const int32_t* uniform_users,
              const int32_t* uniform_items, const int32_t* uniform_labels, int64_t num_uniform);

  // user_order: (num_users,), a permutation; item_order: (num_user_blocks, num_items), permutations.
  void arrange(const int32_t* user_order, const int32_t* item_order, int64_t users_per_block,
               int64_t items_per_block);

  int64_t num_users() const { return num_users_; }
  int64_t num_items() const { return num_items_; }
  int64_t num_pairs() const { return num_pairs_; }
  int64_t num_positions() const { return num_positions_; }
  int64_t num_blocks() const { return num_user_blocks_ * num_item_blocks_; }

  // All arrays are parts of one buffer, of which a device has a copy.
  const std::vector<int32_t>& buffer() const { return buffer_; }

  // Counts, and pointers into the buffer or a copy of it; null for the buffer itself.
  template <class T>
  void put_into(debias_args<T>& args, const int32_t* copy) const;

 private:
  enum part {
    by_user_item,
    by_user_code,
    by_user_start,
    user_slots,
    item_slots,
    slot_users,
    slot_items,
    uniform_start,
    uniform_item,
    uniform_label,
    uniform_by_item,
    uniform_user,
    uniform_item_label,
    order_of_users,
    order_of_items,
    block_of_user,
    block_of_item,
    start_by_user,
    entry_items,
    entry_codes,
    entry_pairs,
    start_by_item,
    other_users,
    other_entries,
    num_parts
  };

  int32_t* at(part which) { return buffer_.data() + start_[which]; }
  void resize(part which, int64_t size);
  void put_uniform(const int32_t* users, const int32_t* items, const int32_t* labels);
  void put_entries(int64_t user_block);
  void put_items(int64_t block, int64_t first_user, int64_t users);

  int64_t num_users_, num_items_, num_pairs_, num_positions_, num_uniform_;
  int64_t num_uniform_users_ = 0, num_uniform_items_ = 0;
  int64_t users_per_block_ = 0, items_per_block_ = 0, num_user_blocks_ = 0, num_item_blocks_ = 0;
  std::vector<int32_t> buffer_;
  std::vector<int32_t> cursor_;
  int64_t start_[num_parts + 1] = {};
};

}  // namespace pyrec
