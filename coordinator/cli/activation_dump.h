// ActivationDump: writes what the residual is at every layer and position to a file, one JSON
// object a line, so that two runs can be compared (scripts/compare-activations): a hash of its bits
// for the comparison, and min, max and mean for people. Lines leave memory as they come. One
// thread, which owns the forward step.
#pragma once

#include <memory>
#include <string>

#include "engine/base/storage.h"
#include "engine/model/layer_observer.h"

namespace potluck {

class ActivationDump final : public LayerObserver {
 public:
  // Replaces what the file holds.
  static Result<std::unique_ptr<ActivationDump>> open(Storage& storage, const std::string& path);

  void on_residual(uint32_t layer, ResidualPoint point, uint32_t position,
                   std::span<const float> residual) override;
  // Writes what is left; the first error of any write.
  Status finish();

 private:
  ActivationDump(std::unique_ptr<WritableFile> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}
  void flush();

  std::unique_ptr<WritableFile> file_;
  std::string path_;
  std::string pending_;
  uint64_t written_ = 0;
  Status status_;
};

}  // namespace potluck
