#include "engine/model/hyper_connections.h"

#include <algorithm>

#include "engine/kernels/exact_math.h"

namespace potluck {

void HyperConnections::read(const HyperWeights& weights, uint32_t rows, const float* streams,
                            std::vector<float>& inputs) {
  const uint32_t columns = config_.residual_columns();
  const ActivationForm form[] = {weights.matrix.form()};
  normed_.reset(form, rows, columns);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    compute_.kernels.rms_norm(streams + uint64_t{row} * columns, nullptr, columns,
                              config_.norm_epsilon, normed_.row(row));
    normed_.quantize_row(compute_.kernels, row);
  });
  weights_ = &weights;
  const Product product[] = {project(weights.matrix, normed_, rows, numbers_)};
  run_products(compute_.threads, compute_.kernels, product);
  grow(inputs, uint64_t{rows} * config_.hidden);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    float* pre = numbers_of(row);
    weigh_streams(pre);
    float* input = inputs.data() + uint64_t{row} * config_.hidden;
    std::fill_n(input, config_.hidden, 0.0F);
    for (uint32_t i = 0; i < hyper_.streams; ++i) {
      const float* stream = streams + uint64_t{row} * columns + uint64_t{i} * config_.hidden;
      states_.add_scaled(pre[i], stream, config_.hidden, input);
    }
  });
}

void HyperConnections::weigh_streams(float* numbers) const {
  for (uint32_t i = 0; i < hyper_.streams; ++i) {
    numbers[i] =
        exact_sigmoid(numbers[i] * weights_->scale[0] + weights_->base[i]) + hyper_.epsilon;
  }
}

void HyperConnections::mix_numbers(float* numbers) const {
  const uint32_t n = hyper_.streams;
  const std::vector<float>& scale = weights_->scale;
  const std::vector<float>& base = weights_->base;
  for (uint32_t i = n; i < 2 * n; ++i) {
    numbers[i] = 2.0F * exact_sigmoid(numbers[i] * scale[1] + base[i]);
  }
  for (uint32_t i = 2 * n; i < n * (n + 2); ++i) numbers[i] = numbers[i] * scale[2] + base[i];
  balance(numbers + uint64_t{2} * n);
}

// Makes of logits [n, n] a matrix whose rows and columns sum to 1, about (Sinkhorn and Knopp).
void HyperConnections::balance(float* matrix) const {
  const uint32_t n = hyper_.streams;
  for (uint32_t i = 0; i < n; ++i) {
    float* row = matrix + uint64_t{i} * n;
    const float largest = *std::max_element(row, row + n);
    const float sum = compute_.kernels.exp_sum(row, n, largest);
    for (uint32_t j = 0; j < n; ++j) row[j] = row[j] / sum + hyper_.epsilon;
  }
  for (uint32_t iteration = 0; iteration < hyper_.iterations; ++iteration) {
    for (uint32_t i = 0; i < n && iteration > 0; ++i) {
      float* row = matrix + uint64_t{i} * n;
      float sum = 0;
      for (uint32_t j = 0; j < n; ++j) sum += row[j];
      for (uint32_t j = 0; j < n; ++j) row[j] /= sum + hyper_.epsilon;
    }
    for (uint32_t j = 0; j < n; ++j) {
      float sum = 0;
      for (uint32_t i = 0; i < n; ++i) sum += matrix[i * n + j];
      for (uint32_t i = 0; i < n; ++i) matrix[i * n + j] /= sum + hyper_.epsilon;
    }
  }
}

void HyperConnections::move_row(uint32_t from, uint32_t to) {
  std::copy_n(numbers_of(from), numbers(), numbers_of(to));
}

void HyperConnections::write(uint32_t row, const float* output, float* streams) {
  const uint32_t n = hyper_.streams;
  float* numbers = numbers_of(row);
  mix_numbers(numbers);
  const StreamMix mix{n, config_.hidden, numbers + n, numbers + 2 * uint64_t{n}};
  states_.mix_streams(mix, output, streams);
}

}  // namespace potluck
