#include "cuda/cuda.hpp"

namespace pyrec::cuda {

combine_kernels combine();
propagate_kernels propagate();
rows_kernels rows();
bpr_kernels bpr();
pointwise_kernels pointwise();
agreement_kernels agreement();
attend_kernels attend();
debias_kernels debias();
als_kernels als();
metrics_kernels metrics();
impressions_kernels impressions();
sample_kernels sample();
distinct_kernels distinct();
pool_kernels pool();
candidate_kernels candidate();
drop_kernels drop();
topk_kernels topk();
xent_kernels xent();

const kernel_table& table() {
  static const kernel_table kernels{
      .isa = "cuda",
      .propagate = propagate(),
      .rows = rows(),
      .combine = combine(),
      .bpr = bpr(),
      .pointwise = pointwise(),
      .agreement = agreement(),
      .als = als(),
      .attend = attend(),
      .debias = debias(),
      .pool = pool(),
      .candidate = candidate(),
      .product = {.multiply = {nullptr, nullptr}},  // torch multiplies there
      .drop = drop(),
      .topk = topk(),
      .xent = xent(),
      .metrics = metrics(),
      .impressions = impressions(),
      .sample = sample(),
      .distinct = distinct(),
  };
  return kernels;
}

}  // namespace pyrec::cuda
