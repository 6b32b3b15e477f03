// TensorLoader: loads a model's tensors one after the other, or only looks at their shapes and adds
// up what they would take; keeps the first error and the names of the requested tensors, so that
// it can name a tensor that was never requested. Internal to engine/model; lives on the stack of
// load_weights() and measure_weights().
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/model/weights.h"

namespace potluck {

class TensorLoader {
 public:
  enum class Purpose { kLoad, kMeasure };

  // Both must outlive the loader.
  TensorLoader(const GgufModel& model, const Progress& progress, Purpose purpose = Purpose::kLoad);

  // After the first error, and when measuring, everything comes out empty.
  WeightMatrix matrix(const std::string& name, uint32_t rows, uint32_t columns, uint32_t parts = 1);
  // Some rows of a matrix that several share.
  WeightMatrix share(const std::string& name, const WeightMatrix::Share& share, uint32_t columns);
  std::vector<float> vector(const std::string& name, uint32_t count);
  // [rows, columns] of a small matrix, as floats.
  std::vector<float> table(const std::string& name, uint32_t rows, uint32_t columns);
  // The same of a convolution's, which some files have as [channels, 1, tokens].
  std::vector<float> channels(const std::string& name, uint32_t rows, uint32_t columns);
  // [rows, columns] of whole numbers, each below `limit`.
  std::vector<uint32_t> indices(const std::string& name, uint32_t rows, uint32_t columns,
                                uint32_t limit);
  bool has(const std::string& name) const { return model_.find(name) != nullptr; }

  // Tensors that other code loads, or that are not needed.
  void leave(const std::string& name);
  void leave_all(const std::function<bool(std::string_view name)>& which);
  // Refuses the tensor with a reason, unless something was wrong before.
  void refuse(const std::string& name, std::string_view why);

  // Of all requested tensors, in memory.
  uint64_t memory_bytes() const { return memory_bytes_; }

  // The first error; else one that names a tensor that was never requested.
  Status finish(const std::string& architecture) const;

 private:
  // Of a matrix, from the tensor beside it that has a single number; 1 if there is none.
  float scale_of(const std::string& matrix);
  std::vector<float> floats(const std::string& name, const std::array<uint64_t, 4>& dimensions);
  void done(const std::string& name, uint64_t memory_bytes, uint64_t file_bytes);

  const GgufModel& model_;
  const Progress& progress_;
  const Purpose purpose_;
  uint64_t memory_bytes_ = 0;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  std::unordered_set<std::string> known_;
  std::optional<Error> error_;
};

}  // namespace potluck
