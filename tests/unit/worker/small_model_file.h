// SmallModelFile: a model file on this device, as --model names one, and the manifest of it. Test
// code; one thread.
#pragma once

#include <memory>
#include <utility>

#include "engine/base/check.h"
#include "engine/experts/manifest_builder.h"
#include "tests/support/test_files.h"
#include "worker/model_copy.h"

namespace potluck::test {

struct SmallModelFile {
  std::unique_ptr<Storage> storage = make_system_storage();
  std::unique_ptr<ModelCopy> copy = open(*storage);
  Manifest manifest = manifest_of(*copy);

 private:
  static std::unique_ptr<ModelCopy> open(Storage& storage) {
    auto opened = ModelCopy::open(storage, data_path("arch/qwen3moe/model.gguf"));
    CHECK(opened.ok());
    return std::move(*opened);
  }
  static Manifest manifest_of(const ModelCopy& copy) {
    auto built = build_manifest(copy.cutter(), "small");
    CHECK(built.ok());
    return std::move(*built);
  }
};

}  // namespace potluck::test
