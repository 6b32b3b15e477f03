// OwnExpertSource: the experts that a coordinator keeps in its memory beside its workers: laid out
// from the model file when they are first needed, and kept. What it is asked for beyond those comes
// from another source, the last resort. Which experts are its own any thread may say; everything
// else belongs to one thread.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/base/thread_annotations.h"
#include "engine/experts/grain_source.h"

namespace potluck {

class OwnExpertSource final : public ImmediateSource {
 public:
  // Keeps at most `budget_bytes`. Both must outlive the object.
  OwnExpertSource(const GrainCutter& cutter, GrainSource& others, uint64_t budget_bytes)
      : cutter_(cutter), others_(others), budget_bytes_(budget_bytes) {}

  // By layer number: the first so many of each. What is kept beyond those goes.
  void set_own(std::vector<uint32_t> experts);
  uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  struct Expert {
    std::shared_ptr<Buffer> grains;
    const std::vector<uint64_t>* offsets = nullptr;
  };

  Result<GrainView> fetch(GrainId id) override;
  bool is_own(uint32_t layer, uint32_t expert) const {
    return layer < own_.size() && expert < own_[layer];
  }
  void take_change();
  Result<const Expert*> keep(GrainId id);

  const GrainCutter& cutter_;
  GrainSource& others_;
  uint64_t budget_bytes_;
  Mutex mutex_;
  std::optional<std::vector<uint32_t>> change_ GUARDED_BY(mutex_);
  std::vector<uint32_t> own_;
  uint64_t kept_bytes_ = 0;
  std::unordered_map<uint32_t, Expert> experts_;                 // by layer and expert
  std::unordered_map<uint32_t, std::vector<uint64_t>> offsets_;  // by layer
};

}  // namespace potluck
