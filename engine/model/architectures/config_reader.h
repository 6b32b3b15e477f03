// ConfigReader: reads the hyper-parameters of one GGUF file under its architecture's prefix. The
// first thing that is wrong is kept and returned by finish(), so that a family reads as a list of
// its numbers. Internal to engine/model; lives on the stack of one function.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/base/limits.h"
#include "engine/model/config.h"

namespace potluck {

class ConfigReader {
 public:
  // The file must have general.architecture (read_config() has seen it).
  explicit ConfigReader(const GgufModel& model);

  // Where a number is expected, an array that says the same for every layer is as good.

  // "<architecture>.<key>": a whole number in [1, limit].
  uint32_t count(std::string_view key, uint32_t limit);
  // The same where only the first `layers` go by it; an array may say anything of the others.
  uint32_t count_of_first(std::string_view key, uint32_t limit, uint32_t layers);
  // The same, or `otherwise` if the key is absent.
  uint32_t count_or(std::string_view key, uint32_t limit, uint32_t otherwise);
  // A whole number in [0, limit]; 0 if the key is absent.
  uint32_t count_or_zero(std::string_view key, uint32_t limit);
  double number(std::string_view key);
  double number_or(std::string_view key, double otherwise);
  bool boolean_or(std::string_view key, bool otherwise);
  bool has(std::string_view key) const;
  bool has_tensor(const std::string& name) const { return model_.find(name) != nullptr; }

  // What all families have: sizes, heads, norm, rope and layers that predict tokens ahead.
  ModelConfig read_common();
  // The number of experts and how many of them each token uses.
  void read_experts(ModelConfig* config);
  // What files of newer families say about their router; what they leave out stays as it is.
  void read_router(RouterConfig* router);
  // Experts that every token goes to, which stand in the file as one wide expert: its width under
  // the key of its own, or as a multiple of a routed expert's.
  void read_shared_experts(ModelConfig* config);
  void read_delta_net(ModelConfig* config);

  // The configuration, checked, or the first error.
  Result<ModelConfig> finish(const ModelConfig& config) const;

 private:
  std::string full_key(std::string_view key) const;
  void fail(Error error);
  // The one value that an array has `layers` times; 0: for all layers.
  template <class T>
  Result<T> same_for_layers(std::string_view key, const Result<std::vector<T>>& values,
                            uint32_t layers) const;
  Result<uint64_t> integer(std::string_view key, uint32_t layers) const;
  bool is_array(std::string_view key) const;
  uint32_t checked(std::string_view key, Result<uint64_t> value, uint32_t low, uint32_t limit);
  uint32_t count_from(uint32_t low, std::string_view key, uint32_t limit);
  void read_rope(ModelConfig* config);
  void read_rope_scaling(uint32_t trained_context, RopeConfig* rope);
  // What other programs do with a model and this one does not.
  void refuse_unsupported();
  uint32_t read_vocabulary();

  const GgufModel& model_;
  std::string architecture_;
  std::optional<Error> error_;
};

}  // namespace potluck
