// down(activation(gate x, up x)), for a dense layer or a shared expert. Routed experts go another
// way, because their sums are integers (engine/experts).
#include "engine/model/feed_forward.h"

#include "engine/kernels/exact_math.h"

namespace potluck {

void FeedForward::input_forms(const FeedForwardWeights& weights,
                              std::vector<ActivationForm>* forms) {
  for (const WeightMatrix* matrix : {&weights.gate, &weights.up, &weights.output_gate}) {
    if (!matrix->empty()) forms->push_back(matrix->form());
  }
}

void FeedForward::run(const FeedForwardWeights& weights, const Activation& activation,
                      const ActivationRows& input, uint32_t rows) {
  uint32_t width = weights.up.shape().rows;
  hidden_ = weights.down.shape().rows;
  bool has_output_gate = !weights.output_gate.empty();
  bool gated = !weights.gate.empty();
  Product inputs[3];
  size_t count = 0;
  if (gated) inputs[count++] = project(weights.gate, input, rows, gate_);
  inputs[count++] = project(weights.up, input, rows, up_);
  if (has_output_gate) inputs[count++] = project(weights.output_gate, input, rows, output_gate_);
  // One job for all matrices that read the same input: handing a job to the threads costs more than
  // a small product.
  run_products(compute_.threads, compute_.kernels, std::span(inputs).first(count));
  const ActivationForm form[] = {weights.down.form()};
  gated_.reset(form, rows, width);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    uint64_t first = uint64_t{row} * width;
    activate(compute_.kernels, activation, gated ? gate_.data() + first : nullptr,
             up_.data() + first, width, gated_.row(row));
    gated_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(weights.down, gated_, rows, output_)};
  run_products(compute_.threads, compute_.kernels, output);
  if (!has_output_gate) return;
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    // Qwen2-MoE and its successors gate the shared expert as a whole, by one number per token.
    float factor = exact_sigmoid(output_gate_[row]);
    float* y = output_.data() + uint64_t{row} * hidden_;
    for (uint32_t i = 0; i < hidden_; ++i) y[i] *= factor;
  });
}

}  // namespace potluck
