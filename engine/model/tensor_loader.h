// TensorLoader: loads a model's tensors one after the other; keeps the first error and which
// tensors have been asked for, so that what nobody asked for can be named. Internal to
// engine/model; lives on the stack of load_weights().
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
  // Both must outlive the loader.
  TensorLoader(const GgufModel& model, const Progress& progress);

  // After the first error everything comes out empty.
  WeightMatrix matrix(const std::string& name, uint32_t rows, uint32_t columns, uint32_t parts = 1);
  std::vector<float> vector(const std::string& name, uint32_t count);
  // [rows, columns] of a small matrix, as floats.
  std::vector<float> table(const std::string& name, uint32_t rows, uint32_t columns);
  bool has(const std::string& name) const { return model_.find(name) != nullptr; }

  // Tensors that somebody else loads, or nobody.
  void leave(const std::string& name);
  void leave_all(const std::string& prefix);
  // Refuses the tensor with a reason, unless something was wrong before.
  void refuse(const std::string& name, std::string_view why);

  // The first error; else one that names a tensor nobody asked for.
  Status finish(const std::string& architecture) const;

 private:
  std::vector<float> floats(const std::string& name, const std::array<uint64_t, 4>& dimensions);
  void done(const std::string& name);

  const GgufModel& model_;
  const Progress& progress_;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  std::unordered_set<std::string> known_;
  std::optional<Error> error_;
};

}  // namespace potluck
