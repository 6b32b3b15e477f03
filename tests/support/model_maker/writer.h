// Writes a planned model to a sink, piece by piece: a few MiB of memory, for a model
// of any size. One thread.
#pragma once

#include "engine/base/storage.h"
#include "engine/experts/grain_cutter.h"
#include "tests/support/model_maker/plan.h"

namespace potluck::test {

// Where the bytes go, front to back.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status write(ByteSpan bytes) = 0;
};

// `progress` is told bytes written and to be written; it may be empty.
Status write_model(const ModelPlan& plan, ByteSink& sink, const Progress& progress);

// The same to a file, which appears under its name when it is complete. Errors name the path: no
// room (asked for beforehand), or what the system said.
Status write_model_file(const ModelPlan& plan, Storage& storage, const std::string& path,
                        const Progress& progress);

// A file of the model's size with its header, and a hole for the weights: enough for what reads
// sizes alone, such as `potluck plan`, and a model of any size takes no room.
Status write_model_sizes(const ModelPlan& plan, const std::string& path);

}  // namespace potluck::test
