#include "engine/model/per_layer_inputs.h"

#include <algorithm>
#include <cmath>

namespace potluck {
namespace {

float root(uint32_t count) {
  return static_cast<float>(std::sqrt(double{1} * count));
}

float inverse_root(uint32_t count) {
  return static_cast<float>(1.0 / std::sqrt(double{1} * count));
}

}  // namespace

PerLayerInputs::PerLayerInputs(const Model& model, const ComputeContext& compute)
    : model_(model),
      config_(model.config()),
      compute_(compute),
      columns_(config_.layers * config_.per_layer_width) {}

void PerLayerInputs::begin(std::span<const TokenId> tokens, const float* embedded) {
  if (columns_ == 0) return;
  const auto rows = static_cast<uint32_t>(tokens.size());
  const WeightMatrix& projection = model_.weights().per_layer_projection;
  const ActivationForm form[] = {projection.form()};
  rows_.reset(form, rows, config_.hidden);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    std::copy_n(embedded + uint64_t{row} * config_.hidden, config_.hidden, rows_.row(row));
    rows_.quantize_row(compute_.kernels, row);
  });
  const Product product[] = {project(projection, rows_, rows, inputs_)};
  run_products(compute_.threads, compute_.kernels, product);
  grow(of_tokens_, uint64_t{rows} * columns_);
  for_rows(compute_.threads, rows, [&](uint32_t row) { finish_row(row, tokens[row]); });
}

// From M x0 to u.
void PerLayerInputs::finish_row(uint32_t row, TokenId token) {
  const uint32_t width = config_.per_layer_width;
  const float scale = inverse_root(config_.hidden);
  const float token_scale = root(width);
  const float half_power = inverse_root(2);
  float* of_token = of_tokens_.data() + uint64_t{row} * columns_;
  float* values = inputs_.data() + uint64_t{row} * columns_;
  unpack_row(model_.weights().per_layer_embedding.view(), static_cast<uint32_t>(token), of_token);
  for (uint32_t i = 0; i < columns_; ++i) values[i] *= scale;
  for (uint32_t first = 0; first < columns_; first += width) {
    compute_.kernels.rms_norm(values + first, model_.weights().per_layer_norm.data(), width,
                              config_.norm_epsilon, values + first);
  }
  for (uint32_t i = 0; i < columns_; ++i) {
    values[i] = (values[i] + of_token[i] * token_scale) * half_power;
  }
}

void PerLayerInputs::add(uint32_t layer, std::span<const uint32_t> sources, float* residual) {
  if (columns_ == 0) return;
  const PerLayerWeights& w = model_.weights().layers[layer].per_layer;
  const auto rows = static_cast<uint32_t>(sources.size());
  const uint32_t width = config_.per_layer_width;
  const uint32_t hidden = config_.hidden;
  const ActivationForm input_form[] = {w.gate.form()};
  rows_.reset(input_form, rows, hidden);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    std::copy_n(residual + uint64_t{row} * hidden, hidden, rows_.row(row));
    rows_.quantize_row(compute_.kernels, row);
  });
  const Product gate[] = {project(w.gate, rows_, rows, gates_)};
  run_products(compute_.threads, compute_.kernels, gate);
  const ActivationForm output_form[] = {w.output.form()};
  rows_.reset(output_form, rows, width);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    const float* input = inputs_.data() + uint64_t{sources[row]} * columns_ + layer * width;
    compute_.kernels.geglu(gates_.data() + uint64_t{row} * width, input, width, rows_.row(row));
    rows_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(w.output, rows_, rows, addends_)};
  run_products(compute_.threads, compute_.kernels, output);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    float* addend = addends_.data() + uint64_t{row} * hidden;
    compute_.kernels.rms_norm(addend, w.norm.data(), hidden, config_.norm_epsilon, addend);
    add_to(residual + uint64_t{row} * hidden, {addend, hidden});
  });
}

}  // namespace potluck
