#pragma once
// What every instruction set provides: a table of its kernels, one entry a room.
#include <string>
#include <vector>

#include "agreement/agreement.hpp"
#include "als/als.hpp"
#include "attend/attend.hpp"
#include "bpr/bpr.hpp"
#include "candidate/candidate.hpp"
#include "combine/combine.hpp"
#include "debias/debias.hpp"
#include "distinct/distinct.hpp"
#include "drop/drop.hpp"
#include "impressions/impressions.hpp"
#include "metrics/metrics.hpp"
#include "pointwise/pointwise.hpp"
#include "pool/pool.hpp"
#include "product/product.hpp"
#include "propagate/propagate.hpp"
#include "rows/rows.hpp"
#include "sample/sample.hpp"
#include "topk/topk.hpp"
#include "xent/xent.hpp"

namespace pyrec {

struct kernel_table {
  const char* isa;
  propagate_kernels propagate;
  rows_kernels rows;
  combine_kernels combine;
  bpr_kernels bpr;
  pointwise_kernels pointwise;
  agreement_kernels agreement;
  als_kernels als;
  attend_kernels attend;
  debias_kernels debias;
  pool_kernels pool;
  candidate_kernels candidate;
  product_kernels product;
  drop_kernels drop;
  topk_kernels topk;
  xent_kernels xent;
  metrics_kernels metrics;
  impressions_kernels impressions;
  sample_kernels sample;
  distinct_kernels distinct;
};

const kernel_table& kernels();          // the CPU's set in use
std::vector<std::string> isa_levels();  // those this machine can run, narrowest first
void use_isa(const std::string& name);  // config_error when this machine lacks it

}  // namespace pyrec
