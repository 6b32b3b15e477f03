// ExpertWindow: the experts that the coordinator has in memory to give away, laid out; a
// GrainSource for delivery. What is not there (kNotFound) other workers have. And the reading of
// such experts out of a model's source: every byte of them once, in long ranges. One thread at a
// time; the pool's lock guards a window that is being delivered from.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "coordinator/spread/source_storage.h"
#include "coordinator/spread/spread_book.h"
#include "engine/base/buffer.h"
#include "engine/experts/grain_source.h"

namespace potluck {

// An expert as it was cut out of the source.
struct CutOut {
  ExpertName name;
  std::shared_ptr<Buffer> grains;  // one after the other
  std::vector<Digest> digests;     // [grains]
};

// `cutter` cuts from files of `source`. Ends early, with kCancelled, when `go_on` says so.
Result<std::vector<CutOut>> cut_out(const GrainCutter& cutter, SourceStorage& source,
                                    std::span<const ExpertName> experts,
                                    const std::function<bool()>& go_on);

class ExpertWindow final : public ImmediateSource {
 public:
  // Sizes follow from the shapes of the cutter's banks; it must outlive the window.
  explicit ExpertWindow(const GrainCutter& cutter) : cutter_(cutter) {}

  // Replaces what was there.
  void fill(const std::vector<CutOut>& experts);
  uint64_t bytes() const;

 private:
  Result<GrainView> fetch(GrainId id) override;

  const GrainCutter& cutter_;
  std::map<ExpertName, std::shared_ptr<Buffer>> experts_;
};

}  // namespace potluck
