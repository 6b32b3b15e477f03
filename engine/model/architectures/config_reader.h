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

  // "<architecture>.<key>": a whole number in [1, limit].
  uint32_t count(std::string_view key, uint32_t limit);
  // The same, or `otherwise` if the key is absent.
  uint32_t count_or(std::string_view key, uint32_t limit, uint32_t otherwise);
  double number(std::string_view key);
  double number_or(std::string_view key, double otherwise);

  // What all families have: sizes, heads, norm and rope. A kind of rope scaling is refused: to
  // ignore it would change the model.
  ModelConfig read_common();

  // The configuration, checked, or the first error.
  Result<ModelConfig> finish(const ModelConfig& config) const;

 private:
  std::string full_key(std::string_view key) const;
  void fail(Error error);
  void refuse_rope_scaling();
  uint32_t read_vocabulary();

  const GgufModel& model_;
  std::string architecture_;
  std::optional<Error> error_;
};

}  // namespace potluck
