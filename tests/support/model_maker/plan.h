// ModelPlan: all that will stand in a made model's file: metadata, and every tensor with the recipe
// for its values. It is small regardless of the model's size. Immutable after plan_model(); any
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/support/gguf_builder.h"
#include "tests/support/model_maker/block_filler.h"
#include "tests/support/model_maker/shape.h"

namespace potluck::test {

struct TensorPlan {
  std::string name;
  std::vector<uint64_t> dimensions;  // innermost first
  const FillFormat* format = nullptr;

  // Either the values of a small F32 tensor, made when they are written ...
  std::function<std::vector<float>()> values;
  // ... or the whole numbers of a small I32 tensor ...
  std::function<std::vector<int32_t>()> indices;
  // ... or random blocks with this deviation, except that
  double deviation = 0;
  uint32_t silent_rows = 0;     // the first rows of each matrix are zero
  uint32_t shared_columns = 0;  // the first columns of all rows are the same

  uint64_t rows() const;   // of all dimensions but the first
  uint64_t bytes() const;  // a multiple of a row
};

struct ModelPlan {
  std::vector<TensorPlan> tensors;
  std::vector<uint64_t> offsets;  // of each tensor in the data section
  uint64_t data_bytes = 0;
  Bytes header;  // everything before the data section, padded
  uint64_t seed = 0;

  uint64_t file_bytes() const { return header.size() + data_bytes; }
  CounterRandom random(const std::string& tensor) const;
};

// Errors name the number or tensor that makes no model.
Result<ModelPlan> plan_model(const ModelShape& shape);

}  // namespace potluck::test
