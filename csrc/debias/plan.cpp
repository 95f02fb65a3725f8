#include "debias/plan.hpp"

#include <algorithm>
#include <numeric>

#include "common/rounding.hpp"

namespace pyrec {

// Parts are made in their order; what lies behind one is made anew.
void debias_plan::resize(part which, int64_t size) {
  start_[which + 1] = start_[which] + rounded_up(size, 16);
  if (static_cast<int64_t>(buffer_.size()) < start_[which + 1]) {
    buffer_.resize(static_cast<size_t>(start_[which + 1]));
  }
}

debias_plan::debias_plan(int64_t num_users, int64_t num_items, const int64_t* indptr, const int32_t* items,
                         const int32_t* codes, int64_t num_positions, const int32_t* uniform_users,
                         const int32_t* uniform_items, const int32_t* uniform_labels, int64_t num_uniform)
    : num_users_(num_users),
      num_items_(num_items),
      num_pairs_(indptr[num_users]),
      num_positions_(num_positions),
      num_uniform_(num_uniform) {
  resize(by_user_item, num_pairs_);
  std::copy_n(items, num_pairs_, at(by_user_item));
  resize(by_user_code, num_pairs_);
  std::copy_n(codes, num_pairs_, at(by_user_code));
  resize(by_user_start, num_users + 1);
  std::copy_n(indptr, num_users + 1, at(by_user_start));
  put_uniform(uniform_users, uniform_items, uniform_labels);
}

void debias_plan::put_uniform(const int32_t* users, const int32_t* items, const int32_t* labels) {
  const auto put_slots = [&](const int32_t* rows, int64_t num_rows, part slots) {
    resize(slots, num_rows);
    std::fill_n(at(slots), num_rows, 0);
    for (int64_t k = 0; k < num_uniform_; ++k) at(slots)[rows[k]] = 1;
    int32_t count = 0;
    for (int64_t row = 0; row < num_rows; ++row) {
      if (at(slots)[row] != 0) at(slots)[row] = ++count;
    }
    return count;
  };
  num_uniform_users_ = put_slots(users, num_users_, user_slots);
  num_uniform_items_ = put_slots(items, num_items_, item_slots);
  const auto put_named = [&](part slots, int64_t num_rows, part named, int64_t count) {
    resize(named, count);
    for (int64_t row = 0; row < num_rows; ++row) {
      if (at(slots)[row] != 0) at(named)[at(slots)[row] - 1] = static_cast<int32_t>(row);
    }
  };
  put_named(user_slots, num_users_, slot_users, num_uniform_users_);
  put_named(item_slots, num_items_, slot_items, num_uniform_items_);
  const auto put_pairs = [&](const int32_t* rows, part slots, int64_t count, const int32_t* others,
                             part other_slots, part start, part other, part label) {
    resize(start, count + 1);
    resize(other, num_uniform_);
    resize(label, num_uniform_);
    std::fill_n(at(start), count + 1, 0);
    for (int64_t k = 0; k < num_uniform_; ++k) ++at(start)[at(slots)[rows[k]]];
    std::partial_sum(at(start), at(start) + count + 1, at(start));
    std::vector<int32_t> next(at(start), at(start) + count + 1);
    for (int64_t k = 0; k < num_uniform_; ++k) {
      const int32_t place = next[static_cast<size_t>(at(slots)[rows[k]] - 1)]++;
      at(other)[place] = at(other_slots)[others[k]];
      at(label)[place] = labels[k];
    }
  };
  put_pairs(users, user_slots, num_uniform_users_, items, item_slots, uniform_start, uniform_item,
            uniform_label);
  put_pairs(items, item_slots, num_uniform_items_, users, user_slots, uniform_by_item, uniform_user,
            uniform_item_label);
}

void debias_plan::arrange(const int32_t* user_order, const int32_t* item_order, int64_t users_per_block,
                          int64_t items_per_block) {
  users_per_block_ = users_per_block;
  items_per_block_ = items_per_block;
  num_user_blocks_ = ceil_div(num_users_, users_per_block);
  num_item_blocks_ = ceil_div(num_items_, items_per_block);
  resize(order_of_users, num_users_);
  resize(order_of_items, num_user_blocks_ * num_items_);
  resize(block_of_user, num_users_);
  resize(block_of_item, num_user_blocks_ * num_items_);
  resize(start_by_user, num_item_blocks_ * num_users_ + num_blocks());
  resize(entry_items, num_pairs_);
  resize(entry_codes, num_pairs_);
  resize(entry_pairs, num_pairs_);
  resize(start_by_item, num_user_blocks_ * num_items_ + num_blocks());
  resize(other_users, num_pairs_);
  resize(other_entries, num_pairs_);
  std::copy_n(user_order, num_users_, at(order_of_users));
  std::copy_n(item_order, num_user_blocks_ * num_items_, at(order_of_items));
  for (int64_t r = 0; r < num_users_; ++r)
    at(block_of_user)[user_order[r]] = static_cast<int32_t>(r / users_per_block);
  for (int64_t r = 0; r < num_user_blocks_ * num_items_; ++r) {
    const int64_t block = r / num_items_, rank = r % num_items_;
    at(block_of_item)[block * num_items_ + item_order[r]] = static_cast<int32_t>(rank / items_per_block);
  }
  cursor_.assign(static_cast<size_t>(std::max(num_item_blocks_ + 1, num_items_)), 0);
  for (int64_t block = 0; block < num_user_blocks_; ++block) put_entries(block);
}

// The entries of some users, by block of items, and in each by user.
void debias_plan::put_entries(int64_t user_block) {
  const int64_t first_user = user_block * users_per_block_;
  const int64_t users = std::min(users_per_block_, num_users_ - first_user);
  const int32_t* users_in = at(order_of_users) + first_user;
  const int32_t* blocks = at(block_of_item) + user_block * num_items_;
  const int32_t* indptr = at(by_user_start);
  std::fill_n(cursor_.begin(), num_item_blocks_ + 1, 0);
  int64_t before = 0;  // entries of the users before
  if (user_block > 0) {
    const int64_t last_block = user_block * num_item_blocks_ - 1;
    before = at(start_by_user)[num_item_blocks_ * first_user + last_block];
  }
  for (int64_t r = 0; r < users; ++r) {
    for (int32_t k = indptr[users_in[r]]; k < indptr[users_in[r] + 1]; ++k) {
      ++cursor_[static_cast<size_t>(blocks[at(by_user_item)[k]] + 1)];
    }
  }
  cursor_[0] = static_cast<int32_t>(before);
  for (int64_t b = 0; b < num_item_blocks_; ++b)
    cursor_[static_cast<size_t>(b + 1)] += cursor_[static_cast<size_t>(b)];
  int32_t* start = at(start_by_user) + num_item_blocks_ * first_user + user_block * num_item_blocks_;
  for (int64_t r = 0; r < users; ++r) {
    for (int64_t b = 0; b < num_item_blocks_; ++b)
      start[b * (users + 1) + r] = cursor_[static_cast<size_t>(b)];
    for (int32_t k = indptr[users_in[r]]; k < indptr[users_in[r] + 1]; ++k) {
      const int32_t item = at(by_user_item)[k];
      const int32_t place = cursor_[static_cast<size_t>(blocks[item])]++;
      at(entry_items)[place] = item;
      at(entry_codes)[place] = at(by_user_code)[k];
      at(entry_pairs)[place] = k;
    }
  }
  for (int64_t b = 0; b < num_item_blocks_; ++b)
    start[b * (users + 1) + users] = cursor_[static_cast<size_t>(b)];
  for (int64_t b = 0; b < num_item_blocks_; ++b)
    put_items(user_block * num_item_blocks_ + b, first_user, users);
}

// The entries of a block by item.
void debias_plan::put_items(int64_t block, int64_t first_user, int64_t users) {
  const int64_t user_block = block / num_item_blocks_,
                first_item = block % num_item_blocks_ * items_per_block_;
  const int64_t items = std::min(items_per_block_, num_items_ - first_item);
  const int32_t* items_in = at(order_of_items) + user_block * num_items_ + first_item;
  const int32_t* user_start = at(start_by_user) + num_item_blocks_ * first_user +
                              user_block * num_item_blocks_ + block % num_item_blocks_ * (users + 1);
  int32_t* start = at(start_by_item) + block + user_block * num_items_ + first_item;
  for (int64_t r = 0; r < items; ++r) cursor_[static_cast<size_t>(items_in[r])] = 0;
  for (int32_t e = user_start[0]; e < user_start[users]; ++e)
    ++cursor_[static_cast<size_t>(at(entry_items)[e])];
  int32_t place = user_start[0];
  for (int64_t r = 0; r < items; ++r) {
    start[r] = place;
    place += cursor_[static_cast<size_t>(items_in[r])];
    cursor_[static_cast<size_t>(items_in[r])] = start[r];
  }
  start[items] = place;
  for (int64_t r = 0; r < users; ++r) {
    const int32_t user = at(order_of_users)[first_user + r];
    for (int32_t e = user_start[r]; e < user_start[r + 1]; ++e) {
      const int32_t to = cursor_[static_cast<size_t>(at(entry_items)[e])]++;
      at(other_users)[to] = user;
      at(other_entries)[to] = e;
    }
  }
}

template <class T>
void debias_plan::put_into(debias_args<T>& args, const int32_t* copy) const {
  const int32_t* base = copy == nullptr ? buffer_.data() : copy;
  const auto from = [&](part which) { return base + start_[which]; };
  args.num_users = num_users_;
  args.num_items = num_items_;
  args.num_pairs = num_pairs_;
  args.num_positions = num_positions_;
  args.users_per_block = users_per_block_;
  args.items_per_block = items_per_block_;
  args.user_order = from(order_of_users);
  args.item_order = from(order_of_items);
  args.user_block = from(block_of_user);
  args.item_block = from(block_of_item);
  args.user_start = from(start_by_user);
  args.entry_item = from(entry_items);
  args.entry_code = from(entry_codes);
  args.entry_pair = from(entry_pairs);
  args.item_start = from(start_by_item);
  args.other_user = from(other_users);
  args.other_entry = from(other_entries);
  args.num_uniform_users = num_uniform_users_;
  args.num_uniform_items = num_uniform_items_;
  args.user_slot = from(user_slots);
  args.item_slot = from(item_slots);
  args.uniform_users = from(slot_users);
  args.uniform_items = from(slot_items);
  args.uniform_start = from(uniform_start);
  args.uniform_item = from(uniform_item);
  args.uniform_label = from(uniform_label);
  args.uniform_by_item = from(uniform_by_item);
  args.uniform_user = from(uniform_user);
  args.uniform_item_label = from(uniform_item_label);
}

template void debias_plan::put_into<float>(debias_args<float>&, const int32_t*) const;
template void debias_plan::put_into<double>(debias_args<double>&, const int32_t*) const;

}  // namespace pyrec
