// ModelCopy: a GGUF file on this device, from which experts are cut instead of being fetched. It
// may be another model than the pool's, or another quantization of it: shapes are compared here,
// and every grain that is cut has to have the digest that the manifest names. Nothing of it stays
// in memory but its description. Immutable once open; one thread.
#pragma once

#include <memory>
#include <string>

#include "engine/experts/grain_cutter.h"
#include "engine/experts/manifest.h"

namespace potluck {

class ModelCopy {
 public:
  // `storage` must outlive the object. The error names the file and what in it cannot be used.
  static Result<std::unique_ptr<ModelCopy>> open(Storage& storage, const std::string& path);

  const std::string& path() const { return path_; }
  const GrainCutter& cutter() const { return *cutter_; }
  // Whether its experts have the shapes of the manifest's; the error names the first that differs.
  Status compare(const Manifest& manifest) const;

 private:
  ModelCopy(GgufModel file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  GgufModel file_;
  std::string path_;
  std::vector<ExpertBank> banks_;
  std::unique_ptr<GrainCutter> cutter_;
};

}  // namespace potluck
