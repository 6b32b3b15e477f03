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
  const auto matrix_of = [&](uint32_t group) { return weights.groups[group].view(); };
  parts_.run(groups_, matrix_of, inputs_.view(weights.groups.front().form()), rows, narrow_.row(0),
             rank);
  for_rows(compute_.threads, rows,
           [&](uint32_t row) { narrow_.quantize_row(compute_.kernels, row); });
  const Product output[] = {project(weights.output, narrow_, rows, out)};
  run_products(compute_.threads, compute_.kernels, output);
}

}  // namespace potluck
