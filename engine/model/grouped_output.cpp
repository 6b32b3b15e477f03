#include "engine/model/grouped_output.h"

namespace potluck {

void GroupedOutput::reset(const GroupedOutputWeights& weights, uint32_t rows, uint32_t columns) {
  groups_ = static_cast<uint32_t>(weights.groups.size());
  const ActivationForm form[] = {weights.groups.front().form()};
  inputs_.reset(form, rows * groups_, columns / groups_);
}

void GroupedOutput::run(const GroupedOutputWeights& weights, uint32_t rows,
                        std::vector<float>& out) {
  for_rows(compute_.threads, rows * groups_,
           [&](uint32_t row) { inputs_.quantize_row(compute_.kernels, row); });
  const uint32_t rank = weights.groups.front().shape().rows;
  const ActivationForm form[] = {weights.output.form()};
  narrow_.reset(form, rows, groups_ * rank);
  group_rows_.resize(uint64_t{rows} * groups_);
  products_.clear();
  for (uint32_t group = 0; group < groups_; ++group) {
    uint32_t* indices = group_rows_.data() + uint64_t{group} * rows;
    for (uint32_t row = 0; row < rows; ++row) indices[row] = row * groups_ + group;
    const WeightMatrix& matrix = weights.groups[group];
    products_.push_back({matrix.view(), inputs_.view(matrix.form()),
                         narrow_.row(0) + uint64_t{group} * rank, uint64_t{groups_} * rank,
                         std::span<const uint32_t>(indices, rows)});
  }
  run_products(compute_.threads, compute_.kernels, products_);
  for_rows(compute_.threads, rows,
           [&](uint32_t row) { narrow_.quantize_row(compute_.kernels, row); });
  const Product output[] = {project(weights.output, narrow_, rows, out)};
  run_products(compute_.threads, compute_.kernels, output);
}

}  // namespace potluck
