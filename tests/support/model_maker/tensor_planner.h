// TensorPlanner: the tensors of a made model, as load_weights() will ask for them. Deviations are
// such that every product of a row with normed values gives values around 1; what is added to the
// residual is so much smaller that all layers together add about as much as the embedding holds.
// Internal to the model maker; one thread.
#pragma once

#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/support/model_maker/format_mix.h"
#include "tests/support/model_maker/plan.h"

namespace potluck::test {

class TensorPlanner {
 public:
  TensorPlanner(const ModelShape& shape, const FormatMix& mix, ModelPlan* plan)
      : shape_(shape), c_(shape.config), mix_(mix), plan_(*plan) {}

  Status plan();

 private:
  // A matrix, a bank of `count` of them if count > 0; "weight" is added to the name.
  void matrix(const std::string& name, uint64_t rows, uint64_t columns, double deviation,
              uint64_t count = 0);
  void branch_output(const std::string& name, uint64_t columns, double scale, uint64_t count = 0);
  void values(const std::string& name, std::vector<uint64_t> dimensions,
              std::function<std::vector<float>(const CounterRandom&)> make);
  void uniform_values(const std::string& name, std::vector<uint64_t> dimensions, double low,
                      double high);
  void experts_of_tokens();
  void norm(const std::string& name, uint64_t count);
  void residual_norm(const std::string& name);

  void embedding();
  void rope_divisors();
  Status find_constants();
  void layer();
  void attention();
  void projections(uint64_t queries, uint64_t keys, uint64_t values);
  void head_norms(uint64_t queries, uint64_t keys);
  void per_layer_inputs();
  void per_layer_part();
  void latent_attention();
  void delta_net();
  void short_convolution();
  void mamba();
  void kimi_delta();
  void compressed_attention();
  void compressor(const std::string& name, uint64_t dimensions);
  void hyper_connections(const std::string& prefix, bool is_last);
  void indexer();
  void feed_forward(const std::string& suffix, uint32_t width);
  void experts();
  void router();
  void selection_bias(const std::vector<double>& offsets);

  std::string blk(std::string_view part) const { return fmt::format("blk.{}.{}", layer_, part); }
  double fan_in(double count) const { return 1 / std::sqrt(count); }
  // Offsets go into the router's weights where the family has no biases for them.
  bool needs_constants() const {
    return shape_.skew > 0 && c_.router.experts > 0 && !c_.router.bias && !c_.router.selection_bias;
  }

  const ModelShape& shape_;
  const ModelConfig& c_;
  const FormatMix& mix_;
  ModelPlan& plan_;
  uint32_t layer_ = 0;
  uint32_t shared_columns_ = 0;   // of the token embedding
  std::vector<float> constants_;  // of the hidden state, in a skewed model
  std::optional<Error> error_;
};

}  // namespace potluck::test
