// Uses everything that an opened GGUF model offers, so that sanitizers see what a hostile file may
// have got past the reader. For the fuzz target and for tests with damaged files. One thread.
#pragma once

#include <string>

#include "engine/base/check.h"
#include "engine/gguf/gguf.h"

namespace potluck::test {

// Returns a number that depends on all that was read, so that no read can be left out.
inline uint64_t touch(const GgufModel& model) {
  uint64_t sum = model.file_bytes() + model.version();
  const GgufMetadata& metadata = model.metadata();
  for (const std::string& key : metadata.keys()) {
    CHECK(metadata.contains(key));
    sum += metadata.integer(key).ok() + metadata.number(key).ok() + metadata.boolean(key).ok();
    sum += metadata.text(key).ok() + metadata.texts(key).ok();
    sum += metadata.integers(key).ok() + metadata.numbers(key).ok();
  }
  for (const GgufTensor& tensor : model.tensors()) {
    CHECK(model.find(tensor.name) == &tensor);
    CHECK(tensor.row_bytes() * (tensor.count() / tensor.columns()) == tensor.bytes);
    sum += tensor.shape_text().size();
    auto bytes = model.read_all(tensor);
    if (bytes) sum += static_cast<uint64_t>(bytes->front()) + static_cast<uint64_t>(bytes->back());
    auto floats = model.read_floats(tensor);
    if (floats) sum += floats->size();
  }
  return sum;
}

}  // namespace potluck::test
