#pragma once
// Forward a thread takes candidates, backward segments with all their candidates, so that each sum is one thread's.
// Slots are taken in blocks; the softmax goes on from one to the next, as its largest score grows.
#include "candidate/candidate.hpp"
#include "common/parallel.hpp"
#include "isa/rows.hpp"
#include "isa/vector_math.hpp"

namespace pyrec::PYREC_ISA {

constexpr int64_t candidate_block = 64;  // slots
constexpr int64_t candidates_per_task = 16;
constexpr int64_t max_candidate_stripes = 64;

PYREC_INLINE int64_t candidate_stripes(int64_t num_segments) {
  return num_segments < max_candidate_stripes ? num_segments : max_candidate_stripes;
}

// Scratch of the backward pass.
template <class T>
struct candidate_scratch {
  int32_t* start;       // (num_segments + 1,)
  int32_t* candidates;  // (num_candidates,) by their reader, in their order
  T* grad_vector;       // (stripes, hidden)
};

template <class T>
PYREC_INLINE candidate_scratch<T> candidate_parts(const candidate_input<T>& in, buffer_parts& parts) {
  return {.start = parts.take<int32_t>(in.num_segments + 1),
          .candidates = parts.take<int32_t>(in.num_candidates),
          .grad_vector = parts.take<T>(candidate_stripes(in.num_segments) * in.hidden)};
}

template <class T>
int64_t candidate_scratch_size(const candidate_input<T>& in) {
  buffer_parts parts(nullptr);
  candidate_parts(in, parts);
  return parts.bytes();
}

template <candidate_activation F, class T>
PYREC_INLINE vec<T> activate(vec<T> u) {
  if constexpr (F == candidate_activation::tanh) return tanh<T>(u);
  return u < 0 ? vec<T>{} : u;  // a NaN stays one
}

// f' from u and t = f(u).
template <candidate_activation F, class T>
PYREC_INLINE vec<T> slope(vec<T> u, vec<T> t) {
  if constexpr (F == candidate_activation::tanh) return multiply_add(-t, t, broadcast(T(1)));
  return u > 0 ? broadcast(T(1)) : vec<T>{};
}

template <class T>
PYREC_INLINE int64_t row_of_slot(const candidate_input<T>& in, int64_t slot) {
  return in.index == nullptr ? slot : in.index[slot];
}

// Up to a block of slots from `first` on.
struct slot_block {
  int64_t first;
  int64_t count;
};

template <class Body>
PYREC_INLINE void for_slot_blocks(int64_t begin, int64_t end, const Body& body) {
  for (int64_t first = begin; first < end; first += candidate_block) {
    body(slot_block{first, end - first < candidate_block ? end - first : candidate_block});
  }
}

// numbers[i] = sum over columns of term(column, read, row of slot i) for the slots of a block.
template <class T, class Term>
PYREC_INLINE void sum_terms(const candidate_input<T>& in, const slot_block& at, int64_t columns, T* numbers,
                            const Term& term) {
  constexpr int width = simd<T>::width;
  for (int64_t first = 0; first < at.count; first += width) {
    const int count = at.count - first < width ? static_cast<int>(at.count - first) : width;
    int64_t rows[width];
    for (int i = 0; i < width; ++i) rows[i] = row_of_slot(in, at.first + first + (i < count ? i : count - 1));
    vec<T> sums[width] = {};
    for_vectors<T>(columns, [&](int64_t j, const auto& read, const auto&) {
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) sums[i] = term(j, read, rows[i], sums[i]);
    });
    store(numbers + first, sum_lanes<T>(sums));
  }
}

// scores: (candidate_block,) s_ci
template <candidate_activation F, class T>
PYREC_INLINE void score_slots(const candidate_input<T>& in, int64_t candidate, const slot_block& at,
                              T* scores) {
  const T* a = in.candidates + candidate * in.hidden;
  sum_terms(in, at, in.hidden, scores, [&](int64_t j, const auto& read, int64_t row, vec<T> sum) {
    const vec<T> u = read(a + j) + read(in.clicks + row * in.hidden + j);
    return multiply_add(read(in.vector + j), activate<F, T>(u), sum);
  });
}

// numbers: (candidate_block,) become exp(numbers - most), and zeros past the last.
template <class T>
PYREC_INLINE void powers_of(T most, int64_t count, T* numbers) {
  constexpr int width = simd<T>::width;
  for (int64_t i = 0; i < count; i += width) store(numbers + i, exp_negative<T>(load(numbers + i) - most));
  for (int64_t i = count; i < candidate_block; ++i) numbers[i] = 0;
}

// out = scale out + sum_i weights_i x_i, for out (dim,); a scale of 0 overwrites.
template <class T>
PYREC_INLINE void add_values(const candidate_input<T>& in, const slot_block& at, const T* weights, T scale,
                             T* out) {
  for_vectors<T>(in.dim, [&](int64_t j, const auto& read, const auto& write) {
    vec<T> sum = scale == 0 ? vec<T>{} : broadcast(scale) * read(out + j);
    for (int64_t i = 0; i < at.count; ++i) {
      const T* x = in.values + row_of_slot(in, at.first + i) * in.dim;
      sum = multiply_add(broadcast(weights[i]), read(x + j), sum);
    }
    write(out + j, sum);
  });
}

template <candidate_activation F, class T>
PYREC_INLINE void attend_candidate(const candidate_args<T>& a, int64_t candidate) {
  const candidate_input<T>& in = a.input;
  const int64_t reader = in.readers[candidate];
  T* out = a.out + candidate * in.dim;
  T numbers[candidate_block];
  T most = real_bits<T>::lowest, sum = 0;
  for_slot_blocks(in.indptr[reader], in.indptr[reader + 1], [&](const slot_block& at) {
    score_slots<F>(in, candidate, at, numbers);
    T largest = most;
    for (int64_t i = 0; i < at.count; ++i) largest = largest < numbers[i] ? numbers[i] : largest;
    T ratio[candidate_block] = {most};
    powers_of(largest, 1, ratio);
    powers_of(largest, at.count, numbers);
    const T scale = sum == 0 ? T(0) : ratio[0];
    sum *= scale;
    for (int64_t i = 0; i < at.count; ++i) sum += numbers[i];
    add_values(in, at, numbers, scale, out);
    most = largest;
  });
  const T inverse = sum == 0 ? T(0) : 1 / sum;
  for (int64_t j = 0; j < in.dim; ++j) out[j] = sum == 0 ? T(0) : out[j] * inverse;
  a.norms[2 * candidate] = most;
  a.norms[2 * candidate + 1] = inverse;
}

template <candidate_activation F, class T>
void attend_candidates(const candidate_args<T>& a) {
  parallel_ranges(a.input.num_candidates, candidates_per_task, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) attend_candidate<F>(a, c);
  });
}

template <class T>
void candidate(const candidate_args<T>& a) {
  a.input.activation == candidate_activation::tanh ? attend_candidates<candidate_activation::tanh>(a)
                                                   : attend_candidates<candidate_activation::relu>(a);
}

template <class T>
void sort_candidates(const candidate_input<T>& in, const candidate_scratch<T>& s) {
  for (int64_t r = 0; r <= in.num_segments; ++r) s.start[r] = 0;
  for (int64_t c = 0; c < in.num_candidates; ++c) ++s.start[in.readers[c]];
  int32_t end = 0;
  for (int64_t r = 0; r <= in.num_segments; ++r) s.start[r] = end += s.start[r];
  for (int64_t c = in.num_candidates - 1; c >= 0; --c)
    s.candidates[--s.start[in.readers[c]]] = static_cast<int32_t>(c);
}

// dx_i += alpha_i g of a block's slots.
template <class T>
PYREC_INLINE void add_value_grads(const candidate_grad_args<T>& a, const slot_block& at, const T* alpha,
                                  const T* g) {
  const int64_t dim = a.input.dim;
  for (int64_t i = 0; i < at.count; ++i) {
    T* to = a.grad_values + (at.first + i) * dim;
    for_vectors<T>(dim, [&](int64_t j, const auto& read, const auto& write) {
      write(to + j, multiply_add(broadcast(alpha[i]), read(g + j), read(to + j)));
    });
  }
}

// What ds of a block's slots gives the clicks, the candidate and the vector.
template <candidate_activation F, class T>
PYREC_INLINE void add_hidden_grads(const candidate_grad_args<T>& a, int64_t candidate, const slot_block& at,
                                   const T* grad_scores, T* grad_vector) {
  const candidate_input<T>& in = a.input;
  const T* own = in.candidates + candidate * in.hidden;
  T* grad_own = a.grad_candidates + candidate * in.hidden;
  for_vectors<T>(in.hidden, [&](int64_t j, const auto& read, const auto& write) {
    const vec<T> left = read(own + j), vector = read(in.vector + j);
    vec<T> of_own = read(grad_own + j), of_vector = read(grad_vector + j);
    for (int64_t i = 0; i < at.count; ++i) {
      const vec<T> u = left + read(in.clicks + row_of_slot(in, at.first + i) * in.hidden + j);
      const vec<T> t = activate<F, T>(u);
      const vec<T> grad = broadcast(grad_scores[i]);
      const vec<T> w = grad * vector * slope<F, T>(u, t);
      T* to = a.grad_clicks + (at.first + i) * in.hidden + j;
      write(to, read(to) + w);
      of_own += w;
      of_vector = multiply_add(grad, t, of_vector);
    }
    write(grad_own + j, of_own);
    write(grad_vector + j, of_vector);
  });
}

template <class T>
PYREC_INLINE void fill_with_zeros(T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = 0;
}

// grad_vector: (hidden,), the stripe's.
template <candidate_activation F, class T>
PYREC_INLINE void candidate_gradient(const candidate_grad_args<T>& a, int64_t candidate, T* grad_vector) {
  const candidate_input<T>& in = a.input;
  const int64_t reader = in.readers[candidate];
  const T* g = a.grad + candidate * in.dim;
  const T* out = a.out + candidate * in.dim;
  vec<T> products{};
  for_vectors<T>(in.dim, [&](int64_t j, const auto& read, const auto&) {
    products = multiply_add(read(g + j), read(out + j), products);
  });
  const T mean = static_cast<T>(sum_wide<T>(products));
  fill_with_zeros(a.grad_candidates + candidate * in.hidden, in.hidden);
  T alpha[candidate_block], grads[candidate_block];
  for_slot_blocks(in.indptr[reader], in.indptr[reader + 1], [&](const slot_block& at) {
    score_slots<F>(in, candidate, at, alpha);
    powers_of(a.norms[2 * candidate], at.count, alpha);
    sum_terms(in, at, in.dim, grads, [&](int64_t j, const auto& read, int64_t row, vec<T> sum) {
      return multiply_add(read(g + j), read(in.values + row * in.dim + j), sum);
    });
    for (int64_t i = 0; i < at.count; ++i) {
      alpha[i] *= a.norms[2 * candidate + 1];
      grads[i] = alpha[i] * (grads[i] - mean);
    }
    add_value_grads(a, at, alpha, g);
    add_hidden_grads<F>(a, candidate, at, grads, grad_vector);
  });
}

template <candidate_activation F, class T>
void candidate_gradients(const candidate_grad_args<T>& a) {
  const candidate_input<T>& in = a.input;
  buffer_parts parts(a.scratch);
  const candidate_scratch<T> s = candidate_parts(in, parts);
  const int64_t num_stripes = candidate_stripes(in.num_segments);
  sort_candidates(in, s);
  parallel_for(num_stripes, [&](int64_t stripe) {
    T* grad_vector = s.grad_vector + stripe * in.hidden;
    fill_with_zeros(grad_vector, in.hidden);
    const int64_t last = (stripe + 1) * in.num_segments / num_stripes;
    for (int64_t r = stripe * in.num_segments / num_stripes; r < last; ++r) {
      const int64_t begin = in.indptr[r], count = in.indptr[r + 1] - begin;
      fill_with_zeros(a.grad_clicks + begin * in.hidden, count * in.hidden);
      fill_with_zeros(a.grad_values + begin * in.dim, count * in.dim);
      for (int32_t c = s.start[r]; c < s.start[r + 1]; ++c) {
        candidate_gradient<F>(a, s.candidates[c], grad_vector);
      }
    }
  });
  fill_with_zeros(a.grad_vector, in.hidden);
  for (int64_t stripe = 0; stripe < num_stripes; ++stripe) {
    for (int64_t h = 0; h < in.hidden; ++h) a.grad_vector[h] += s.grad_vector[stripe * in.hidden + h];
  }
}

template <class T>
void candidate_grad(const candidate_grad_args<T>& a) {
  a.input.activation == candidate_activation::tanh ? candidate_gradients<candidate_activation::tanh>(a)
                                                   : candidate_gradients<candidate_activation::relu>(a);
}

}  // namespace pyrec::PYREC_ISA
