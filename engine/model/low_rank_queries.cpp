#include "engine/model/low_rank_queries.h"

namespace potluck {

void LowRankQueries::run(const WeightMatrix& up, std::span<const float> norm, float epsilon,
                         uint32_t rows, std::vector<float>& queries) {
  const auto rank = static_cast<uint32_t>(norm.size());
  compressed_.reset(forms_, rows, rank);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    compute_.kernels.rms_norm(down_out_.data() + uint64_t{row} * rank, norm.data(), rank, epsilon,
                              compressed_.row(row));
    compressed_.quantize_row(compute_.kernels, row);
  });
  const Product product[] = {project(up, compressed_, rows, queries)};
  run_products(compute_.threads, compute_.kernels, product);
}

}  // namespace potluck
