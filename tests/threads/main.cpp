// Runs each CPU kernel alone, then by four threads, from three callers at once, and compares the bits. Built
// with ThreadSanitizer and openmp_stand_in.cpp in OpenMP's place by tests/nightly/sanitize.sh; knows no
// Python.
#include <omp.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "combine/scratch_cpu.hpp"
#include "isa/kernels.hpp"

namespace pyrec::baseline {
extern const kernel_table table;
}

namespace {

using namespace pyrec;

constexpr int64_t num_users = 3000, num_items = 2000, nodes = num_users + num_items, dim = 24;
constexpr int64_t num_layers = 3, hidden = 8, list_size = 10, samples = 5000;

template <class T>
std::vector<T> zeros(int64_t count) {
  return std::vector<T>(static_cast<size_t>(count));
}

std::vector<float> numbers(int64_t count) {
  std::vector<float> made(static_cast<size_t>(count));
  for (size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>((i * 2654435761u) % 1000) / 500 - 1;
  return made;
}

// User u has the items (u + 97 j) mod num_items for j = 0 .. degree - 1.
struct problem {
  std::vector<int64_t> indptr = zeros<int64_t>(nodes + 1);
  std::vector<int32_t> indices, users, chunks;
  std::vector<float> x = numbers(nodes * dim), scale = numbers(nodes);

  problem() {
    constexpr int64_t degree = 40;
    std::vector<std::vector<int32_t>> rows(nodes);
    for (int64_t user = 0; user < num_users; ++user) {
      std::vector<bool> has(num_items);
      for (int64_t j = 0; j < degree; ++j) has[static_cast<size_t>((user + 97 * j) % num_items)] = true;
      for (int64_t item = 0; item < num_items; ++item) {
        if (!has[static_cast<size_t>(item)]) continue;
        rows[static_cast<size_t>(user)].push_back(static_cast<int32_t>(num_users + item));
        rows[static_cast<size_t>(num_users + item)].push_back(static_cast<int32_t>(user));
        users.push_back(static_cast<int32_t>(user));
      }
    }
    for (size_t node = 0; node < rows.size(); ++node) {
      indices.insert(indices.end(), rows[node].begin(), rows[node].end());
      indptr[node + 1] = static_cast<int64_t>(indices.size());
    }
    for (int32_t node = 0; node <= nodes; node += 50) chunks.push_back(node);
  }
};

const problem& given() {
  static const problem made;
  return made;
}

template <class T>
void append(std::vector<char>& bytes, const std::vector<T>& values) {
  const auto* begin = reinterpret_cast<const char*>(values.data());
  bytes.insert(bytes.end(), begin, begin + sizeof(T) * values.size());
}

using result = std::vector<char>;
const kernel_table& kernels_here() { return baseline::table; }

result propagate() {
  const problem& p = given();
  auto out = zeros<float>(nodes * dim), total = out, table = p.x, first = out, second = out;
  bool not_finite = false;
  propagate_args<float> args{};
  args.indptr = p.indptr.data();
  args.indices = p.indices.data();
  args.chunks = p.chunks.data();
  args.num_chunks = static_cast<int64_t>(p.chunks.size()) - 1;
  args.num_edges = static_cast<int64_t>(p.indices.size());
  args.fetch_ahead_bytes = 1 << 13;
  args.dim = dim;
  args.x = p.x.data();
  args.post = args.total_scale = p.scale.data();
  args.out = out.data();
  args.total = total.data();
  args.total_alpha = 0.5f;
  args.not_finite = &not_finite;
  kernels_here().propagate.layer(args);
  args.out = nullptr;
  args.total = nullptr;
  args.adam = {table.data(), first.data(), second.data(), 0.9f, 0.99f, 0.01f, 1, 1e-8f, nullptr};
  kernels_here().propagate.layer(args);
  result bytes;
  for (const auto* values : {&out, &total, &table, &first, &second}) append(bytes, *values);
  return bytes;
}

result search() {
  const problem& p = given();
  constexpr int64_t splits = 2;
  auto panels = zeros<float>(2048 * dim), scores = zeros<float>(num_users * list_size);
  auto keys = zeros<uint64_t>(splits * num_users * list_size);
  auto ids = zeros<int32_t>(num_users * list_size);
  topk_args args{};
  args.queries = p.x.data();
  args.items = p.x.data() + num_users * dim;
  args.num_queries = num_users;
  args.dim = dim;
  args.k = list_size;
  args.num_candidates = args.num_items = num_items;
  args.block_bytes = 1 << 18;
  args.panel_rows = 2048;
  args.panels = panels.data();
  args.num_splits = splits;
  args.keys = keys.data();
  args.ids = ids.data();
  args.scores = scores.data();
  kernels_here().topk.search(args);
  result bytes;
  append(bytes, ids);
  append(bytes, scores);
  return bytes;
}

result measure() {
  const problem& p = given();
  std::vector<int32_t> ids(static_cast<size_t>(num_users * list_size)), items;
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 31 % num_items);
  for (size_t i = 0; i < p.users.size(); ++i) items.push_back(p.indices[i] - static_cast<int32_t>(num_users));
  const std::vector<int64_t> cutoffs{1, 5, list_size};
  const std::vector<double> gains(list_size, 0.5);
  auto table = zeros<double>(num_users * 3 * num_metrics);
  auto counts = zeros<int64_t>(3 * num_items);
  bool bad = false;
  kernels_here().metrics.ranking({ids.data(), num_users, list_size, p.indptr.data(), items.data(),
                                  cutoffs.data(), 3, gains.data(), gains.data(), table.data(), 0, &bad,
                                  nullptr});
  kernels_here().metrics.item_counts(
      {ids.data(), num_users, list_size, cutoffs.data(), 3, num_items, counts.data(), &bad, nullptr});
  result bytes;
  append(bytes, table);
  append(bytes, counts);
  return bytes;
}

result sample() {
  const problem& p = given();
  auto users = zeros<int32_t>(samples), positives = users, negatives = zeros<int32_t>(2 * samples);
  sample_args args{};
  args.indptr = p.indptr.data();
  args.indices = p.indices.data();
  args.users = p.users.data();
  args.num_users = num_users;
  args.num_items = num_items;
  args.seed = 7;
  args.shuffle = make_shuffle(p.users.size(), 7, 0);
  args.count = samples;
  args.num_negatives = 2;
  args.out_users = users.data();
  args.out_positives = positives.data();
  args.out_negatives = negatives.data();
  kernels_here().sample.triples(args);
  result bytes;
  for (const auto* values : {&users, &positives, &negatives}) append(bytes, *values);
  return bytes;
}

result attend() {
  const problem& p = given();
  const std::vector<float> weight = numbers(hidden * dim), bias = numbers(hidden);
  const std::vector<layer_rows<float>> layers(num_layers, {p.x.data(), dim});
  const combine_input<float> input{layers.data(), num_layers, nodes, dim, nullptr};
  auto out = zeros<float>(nodes * dim), alpha = zeros<float>(nodes * num_layers), grad_offset = alpha;
  const int workers = omp_get_max_threads();
  auto scratch =
      zeros<float>(attention_scratch<float>(nodes, num_layers, dim, hidden, true).regions.size(workers));
  const attention_weights<float> attention{weight.data(), bias.data(), bias.data(), hidden, true};
  kernels_here().combine.attention(combine_attention_args<float>{
      input, attention, nullptr, out.data(), alpha.data(), scratch.data(), workers, nullptr});
  std::vector<std::vector<float>> grads(num_layers, zeros<float>(nodes * dim));
  std::vector<float*> pointers;
  for (auto& grad : grads) pointers.push_back(grad.data());
  auto grad_weight = zeros<float>(hidden * dim), grad_bias = zeros<float>(hidden), grad_vector = grad_bias;
  kernels_here().combine.attention_grad(combine_attention_grad_args<float>{
      input, attention, alpha.data(), p.x.data(), nullptr, pointers.data(), grad_weight.data(),
      grad_bias.data(), grad_vector.data(), grad_offset.data(), scratch.data(), workers, nullptr});
  result bytes;
  for (const auto* values : {&out, &alpha, &grad_weight, &grad_bias, &grad_vector, &grad_offset})
    append(bytes, *values);
  for (const auto& grad : grads) append(bytes, grad);
  return bytes;
}

}  // namespace

int main() {
  const std::vector<std::pair<const char*, std::function<result()>>> all{{"propagate", propagate},
                                                                         {"topk", search},
                                                                         {"metrics", measure},
                                                                         {"sample", sample},
                                                                         {"combine", attend}};
  given();
  int wrong = 0;
  for (const auto& [name, run] : all) {
    omp_set_num_threads(1);
    const result alone = run();
    omp_set_num_threads(4);
    std::vector<result> found(3);
    std::vector<std::thread> callers;
    for (result& place : found) callers.emplace_back([&place, &run = run] { place = run(); });
    for (std::thread& caller : callers) caller.join();
    for (const result& bytes : found) wrong += bytes != alone;
    std::printf("%s: %zu bytes compared\n", name, alone.size());
  }
  std::printf(wrong == 0 ? "the same bits at any number of threads\n" : "%d results differ\n", wrong);
  return wrong != 0;
}
