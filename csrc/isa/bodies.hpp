// Included once by each instruction set's file, which defines PYREC_ISA and PYREC_VECTOR_BYTES.
#include "agreement/agreement_cpu.hpp"
#include "als/als_cpu.hpp"
#include "attend/attend_cpu.hpp"
#include "bpr/bpr_cpu.hpp"
#include "candidate/candidate_cpu.hpp"
#include "combine/combine_cpu.hpp"
#include "debias/debias_cpu.hpp"
#include "drop/drop_cpu.hpp"
#include "impressions/impressions_cpu.hpp"
#include "isa/kernels.hpp"
#include "metrics/metrics_cpu.hpp"
#include "pointwise/pointwise_cpu.hpp"
#include "pool/pool_cpu.hpp"
#include "product/product_cpu.hpp"
#include "propagate/propagate_cpu.hpp"
#include "rows/rows_cpu.hpp"
#include "sample/sample_cpu.hpp"
#include "topk/scores_cpu.hpp"
#include "topk/topk_cpu.hpp"
#include "xent/xent_cpu.hpp"

#define PYREC_STRING(name) #name
#define PYREC_NAME_OF(name) PYREC_STRING(name)

namespace pyrec::PYREC_ISA {

extern const kernel_table table;
constinit const kernel_table table{
    .isa = PYREC_NAME_OF(PYREC_ISA),
    .propagate = propagate_table,
    .rows = rows_table,
    .combine = combine_table,
    .bpr = {.f32 = bpr<float>, .f64 = bpr<double>},
    .pointwise = {.f32 = pointwise<float>, .f64 = pointwise<double>},
    .agreement = {.f32 = agreement<float>, .f64 = agreement<double>},
    .als = {.solve_f32 = solve_rows<float>,
            .solve_f64 = solve_rows<double>,
            .scratch_f32 = als_scratch<float>,
            .scratch_f64 = als_scratch<double>,
            .gram_f32 = gram<float>,
            .gram_f64 = gram<double>},
    .attend = attend_table,
    .debias = {.f32 = debias<float>,
               .f64 = debias<double>,
               .scratch_f32 = debias_scratch_bytes<float>,
               .scratch_f64 = debias_scratch_bytes<double>},
    .pool = {.pool = {pool<float>, pool<double>},
             .pool_grad = {pool_grad<float>, pool_grad<double>},
             .scratch_f32 = pool_scratch_size<float>,
             .scratch_f64 = pool_scratch_size<double>},
    .candidate = {.candidate = {candidate<float>, candidate<double>},
                  .candidate_grad = {candidate_grad<float>, candidate_grad<double>},
                  .scratch_f32 = candidate_scratch_size<float>,
                  .scratch_f64 = candidate_scratch_size<double>},
    .product = {.multiply = {multiply_matrices<float>, multiply_matrices<double>}},
    .drop = {.run = {drop<float>, drop<double>}},
    .topk = {.search = topk_search, .codes = has_codes, .select = topk_select},
    .xent = {.log_total = {xent_log_total<float>, xent_log_total<double>},
             .grad = {xent_grad<float>, xent_grad<double>},
             .scratch_f32 = xent_scratch<float>,
             .scratch_f64 = xent_scratch<double>},
    .metrics = {.ranking = ranking_metrics, .item_counts = item_counts},
    .impressions = {.f32 = impressions<float>, .f64 = impressions<double>},
    .sample = {.triples = sample_triples},
    .distinct = {},
};

}  // namespace pyrec::PYREC_ISA
