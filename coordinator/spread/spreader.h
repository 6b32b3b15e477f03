// Spreader: takes a model once from where it is and passes its experts on to the workers as it
// reads, and takes experts again that no device has any more. The coordinator keeps its resident
// part (resident_file.h) and the signed manifest; of the experts it never has more than a window in
// memory.
//
// How digests come about although the source is read once: the manifest grows. A window of experts
// is read, cut, hashed and recorded (spread_folder.h); then the pool gets a manifest that has these
// experts besides all earlier ones, signed like any other, and workers are welcomed to it, are
// assigned units, and fetch and verify grains as they always do. To a worker it is a coordinator
// with another manifest, which it has to cope with anyway: no grain is ever offered, taken or used
// that a signed manifest does not vouch for, and there is no message that only spreading needs.
// (The manifest is sent some times over: for 17 GB in windows of 64 MiB about 150 MB in all.)
//
// A state machine with its reading left out, so that a lock can be free meanwhile:
//
//   next() -> kRead: read() without the lock, then record() likewise, then take()
//
// next() and take() need the pool's lock; read() and record() belong to one thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/dispatch/coordinator_core.h"
#include "coordinator/spread/expert_window.h"
#include "coordinator/spread/spread_folder.h"

namespace potluck {

// The manifest of a pool that spreads, in the making, and what grows it.
struct GrowingManifest {
  Manifest manifest;
  SignedManifest signed_manifest;
};

// Where experts can be read again and again; opened when it is first needed.
class ExpertSource {
 public:
  virtual ~ExpertSource() = default;
  // kCancelled when the process is about to end. Other errors: it cannot be had at present, or
  // (kCorrupt) is not what it was.
  virtual Result<std::vector<CutOut>> read(std::span<const ExpertName> experts) = 0;
};

class Spreader {
 public:
  // References must outlive the object. `outline`: every layer, without digests.
  Spreader(SpreadFolder& folder, ExpertSource& source, const Manifest& outline,
           const SigningKey& key, uint32_t slices, uint32_t copies, ExpertWindow& window,
           uint64_t window_bytes = kSpreadWindowBytes);

  // What is known from earlier runs; then, if nothing is, the first window is read.
  Status begin();
  // Its object stays in place; its content grows in take().
  GrowingManifest& manifest() { return *manifest_; }

  using Step = SpreadBook::Step;
  Step next(const CoordinatorCore& core, bool all_here, TimePoint now);
  Result<std::vector<CutOut>> read(std::span<const ExpertName> experts);
  // Before anyone is offered what was read: its digests on disk.
  Status record(const std::vector<CutOut>& experts);
  void take(const std::vector<CutOut>& experts, CoordinatorCore& core);
  // Every unit has its copies: the manifest is kept.
  Status complete();
  bool is_complete() const { return complete_; }

  const SpreadBook& book() const { return book_; }

 private:
  bool load_complete();
  void make_manifest();
  Status check(const CutOut& cut) const;

  SpreadFolder& folder_;
  ExpertSource& source_;
  const Manifest& outline_;
  const SigningKey& key_;
  ExpertWindow& window_;
  SpreadBook book_;
  std::map<uint32_t, std::vector<Digest>> known_;  // by layer: of its first experts
  std::unique_ptr<GrowingManifest> manifest_;
  std::atomic<bool> complete_ = false;
};

// All layers of the model with their experts, every digest zero.
Manifest outline_of(const GrainCutter& cutter, const std::string& model_name);

}  // namespace potluck
