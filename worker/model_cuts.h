// ModelCuts: the grains of a pool cut from a model file of this device (--model). An expert is cut
// at once, for that reads each of its tensors only once, and its grains are handed out one after
// the other. The file is used until it turns out to be another model, or another quantization of
// it. Owned by PoolSources. One thread.
#pragma once

#include <optional>

#include "worker/model_copy.h"

namespace potluck {

class ModelCuts {
 public:
  // `model` may be null, and must outlive the object.
  explicit ModelCuts(const ModelCopy* model) : model_(model) {}

  // Uses the file for this manifest, which must stay in place until stop(). The error says why it
  // cannot be used.
  Status start(const Manifest& manifest);
  void stop() { use_.reset(); }
  bool in_use() const { return use_.has_value(); }

  // --- while in use ---
  const std::string& path() const { return model_->path(); }
  const Manifest& manifest() const { return use_->manifest; }
  // The grain whose turn it is; none: an expert is to be cut. Valid until the next call.
  struct Grain {
    GrainId id;
    const Digest& digest;  // as the manifest has it: nothing here has compared the bytes with it
    ByteSpan bytes;
  };
  std::optional<Grain> grain() const;
  // That grain is done with.
  void advance();
  Status cut_expert_of(GrainId id);

 private:
  struct Use {
    const Manifest& manifest;
    ByteVector expert;  // all grains of one; empty: none is being handed out
    GrainId next{};
    uint64_t offset = 0;
  };

  const ModelCopy* model_;
  std::optional<Use> use_;
};

}  // namespace potluck
