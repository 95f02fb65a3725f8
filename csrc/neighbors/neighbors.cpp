#include "neighbors/neighbors.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "common/parallel.hpp"

namespace pyrec {

namespace {

constexpr int64_t rows_at_a_time = 16;  // of one worker
constexpr int64_t scan_length = 256;    // items weighed at a time

struct neighbor {
  float weight;
  int32_t item;
};

bool is_better(const neighbor& a, const neighbor& b) {
  return a.weight > b.weight || (a.weight == b.weight && a.item < b.item);
}

// The k best of those offered, in a heap whose front is the worst of them.
class best_neighbors {
 public:
  explicit best_neighbors(int64_t k) : most_(static_cast<size_t>(k)) {}

  void clear() { kept_.clear(); }
  float worst() const { return kept_.size() < most_ ? 0.0F : kept_.front().weight; }

  void offer(neighbor one) {
    if (kept_.size() == most_) {
      if (!is_better(one, kept_.front())) return;
      std::pop_heap(kept_.begin(), kept_.end(), is_better);
      kept_.back() = one;
    } else {
      kept_.push_back(one);
    }
    std::push_heap(kept_.begin(), kept_.end(), is_better);
  }

  void write(int32_t* ids, float* weights) {
    std::sort_heap(kept_.begin(), kept_.end(), is_better);
    for (size_t at = 0; at < most_; ++at) {
      const bool there = at < kept_.size();
      ids[at] = there ? kept_[at].item : -1;
      weights[at] = there ? kept_[at].weight : 0.0F;
    }
  }

 private:
  size_t most_;
  std::vector<neighbor> kept_;
};

template <class Sum>
struct worker {
  Sum* sums;         // (num_items,) c of the row's item; zeros between rows
  int32_t* touched;  // (num_items + 1,) the items with a sum; one place for what is not kept
  best_neighbors best;
};

// Sum is int32_t for users that count 1 each, float for weights.
template <class Sum>
struct item_rows {
  static constexpr bool is_weighted = std::is_same_v<Sum, float>;

  const nearest_items_args& args;
  const int64_t* indptr;
  const int32_t* indices;
  int64_t num_users;
  int64_t num_items;

  explicit item_rows(const nearest_items_args& of)
      : args(of),
        indptr(of.interactions.indptr.data<const int64_t>()),
        indices(of.interactions.indices.data<const int32_t>()),
        num_users(of.interactions.num_users),
        num_items(of.interactions.num_items) {}

  worker<Sum> make_worker(int64_t which) const {
    int32_t* counts = args.scratch + which * (2 * num_items + 1);
    Sum* sums = nullptr;
    if constexpr (is_weighted) {
      sums = args.sums + which * num_items;
    } else {
      sums = counts;
    }
    std::fill_n(sums, num_items, Sum{0});
    return {.sums = sums, .touched = counts + num_items, .best = best_neighbors(args.k)};
  }

  // Pairs of a user of the item and an item of that user.
  int64_t pairs(int64_t item) const {
    int64_t sum = 0;
    for (int64_t e = indptr[num_users + item]; e < indptr[num_users + item + 1]; ++e)
      sum += indptr[indices[e] + 1] - indptr[indices[e]];
    return sum;
  }

  void find(int64_t row, worker<Sum>& w) const {
    const int64_t item = args.first + row;
    w.best.clear();
    if (pairs(item) < num_items) {
      few(item, w);
    } else {
      many(item, w);
    }
    w.best.write(args.ids + row * args.k, args.weights + row * args.k);
  }

  // Sums over a list of items, each of which is looked at again. One whose products have all rounded to 0 may be in
  // it twice: the second time its sum is 0.
  void few(int64_t item, worker<Sum>& w) const {
    Sum* sums = w.sums;
    int64_t length = 0;
    for_users(item, [&](const user_row& user) {
      for (int64_t i = 0; i < user.size; ++i) {
        const auto other = static_cast<int32_t>(user.items[i] - num_users);
        w.touched[length] = other;
        length += sums[other] == 0 ? 1 : 0;
        sums[other] += user.term(i);
      }
    });
    sums[item] = 0;
    const float root = args.roots[item];
    for (int64_t i = 0; i < length; ++i) {
      const int32_t other = w.touched[i];
      const float weight = weigh(sums[other], root, other);
      sums[other] = 0;
      if (weight > 0 && weight >= w.best.worst()) w.best.offer({weight, other});
    }
  }

  // Sums over as many pairs as there are items, so all items are looked at, in order: an equal one is a worse
  // one.
  void many(int64_t item, worker<Sum>& w) const {
    Sum* sums = w.sums;
    for_users(item, [&](const user_row& user) {
      for (int64_t i = 0; i < user.size; ++i) sums[user.items[i] - num_users] += user.term(i);
    });
    sums[item] = 0;
    const float root = args.roots[item];
    float weights[scan_length];
    for (int64_t start = 0; start < num_items; start += scan_length) {
      const int64_t length = std::min(scan_length, num_items - start);
      for (int64_t i = 0; i < length; ++i) weights[i] = weigh(sums[start + i], root, start + i);
      offer_better(weights, start, length, w.best);
    }
    std::fill_n(sums, num_items, Sum{0});
  }

  static void offer_better(const float* weights, int64_t start, int64_t length, best_neighbors& best) {
    float worst = best.worst();
    int better = 0;
    for (int64_t i = 0; i < length; ++i) better |= weights[i] > worst ? 1 : 0;
    if (better == 0) return;
    for (int64_t i = 0; i < length; ++i) {
      if (!(weights[i] > worst)) continue;
      best.offer({weights[i], static_cast<int32_t>(start + i)});
      worst = best.worst();
    }
  }

  float weigh(Sum sum, float root, int64_t other) const {
    const float weight = static_cast<float>(sum) / (root * args.roots[other] + args.shrinkage);
    const float factor = args.factors != nullptr ? args.factors[other] : 1.0F;
    return sum == 0 ? 0.0F : weight * factor;
  }

  // A user of the row's item, and what each of the user's items adds to its sum.
  struct user_row {
    const int32_t* items;  // (size,)
    int64_t size;
    float weight;          // of the user and the row's item
    const float* weights;  // (size,) of the user and each item; null where each is 1

    Sum term(int64_t i) const {
      if constexpr (is_weighted) {
        return weight * weights[i];
      } else {
        return 1;
      }
    }
  };

  template <class Body>
  void for_users(int64_t item, const Body& body) const {
    for (int64_t e = indptr[num_users + item]; e < indptr[num_users + item + 1]; ++e) {
      const int64_t begin = indptr[indices[e]];
      user_row user{
          .items = indices + begin, .size = indptr[indices[e] + 1] - begin, .weight = 1, .weights = nullptr};
      if constexpr (is_weighted) {
        user.weight = args.edge_weights[e];
        user.weights = args.edge_weights + begin;
      }
      body(user);
    }
  }
};

template <class Sum>
void find_rows(const nearest_items_args& args) {
  const item_rows<Sum> rows(args);
  std::vector<worker<Sum>> workers;
  for (int64_t which = 0; which < args.num_workers; ++which) workers.push_back(rows.make_worker(which));
  const auto num_workers = static_cast<int>(args.num_workers);
  parallel_ranges_workers(args.count, rows_at_a_time, num_workers,
                          [&](int64_t first, int64_t last, int which) {
                            for (int64_t row = first; row < last; ++row)
                              rows.find(row, workers[static_cast<size_t>(which)]);
                          });
}

}  // namespace

void nearest_items(const nearest_items_args& args) {
  if (args.edge_weights == nullptr) {
    find_rows<int32_t>(args);
  } else {
    find_rows<float>(args);
  }
}

}  // namespace pyrec
