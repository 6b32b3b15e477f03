// down(silu(gate x) * up x), for a dense layer or a shared expert. Routed experts go another way,
// because their sums are integers (engine/experts).
#include "engine/model/feed_forward.h"

#include "engine/kernels/exact_math.h"

namespace potluck {

void FeedForward::input_forms(const FeedForwardWeights& weights,
                              std::vector<ActivationForm>* forms) {
  forms->push_back(weights.gate.form());
  forms->push_back(weights.up.form());
  if (!weights.output_gate.empty()) forms->push_back(weights.output_gate.form());
}

void FeedForward::run(const FeedForwardWeights& weights, const ActivationRows& input,
                      uint32_t rows) {
  uint32_t width = weights.gate.shape().rows;
  hidden_ = weights.down.shape().rows;
  bool has_gate = !weights.output_gate.empty();
  const Product inputs[] = {
      project(weights.gate, input, rows, gate_), project(weights.up, input, rows, up_),
      has_gate ? project(weights.output_gate, input, rows, output_gate_) : Product{}};
  // One job for all matrices that read the same input: handing a job to the threads costs more than
  // a small product.
  run_products(compute_.threads, compute_.kernels, std::span(inputs).first(has_gate ? 3 : 2));
  const ActivationForm form[] = {weights.down.form()};
  gated_.reset(form, rows, width);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    uint64_t first = uint64_t{row} * width;
    auto* join = activation_ == ExpertActivation::kSwiGluOai ? compute_.kernels.swiglu_oai
                                                             : compute_.kernels.swiglu;
    join(gate_.data() + first, up_.data() + first, width, gated_.row(row));
    gated_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(weights.down, gated_, rows, output_)};
  run_products(compute_.threads, compute_.kernels, output);
  if (!has_gate) return;
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    // Qwen2-MoE and its successors gate the shared expert as a whole, by one number per token.
    float factor = exact_sigmoid(output_gate_[row]);
    float* y = output_.data() + uint64_t{row} * hidden_;
    for (uint32_t i = 0; i < hidden_; ++i) y[i] *= factor;
  });
}

}  // namespace potluck
