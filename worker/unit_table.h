// UnitTable: the units one pool assigned to this worker, which of them are ready to compute (all
// their grains lie in the store), and what the coordinator has not been told yet. Pure bookkeeping
// over a verified manifest; nothing is read from disk. One thread.
#pragma once

#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/experts/grain_store.h"
#include "engine/experts/manifest.h"
#include "protocol/message.h"
#include "worker/grain_fetcher.h"

namespace potluck {

// Whether the manifest has these units, cut into that many slices. The error names the unit.
Status check_assignment(const Assignment& assignment, const Manifest& manifest);

class UnitTable {
 public:
  // Takes an assignment that passed check_assignment(). Units whose grains are all in the store are
  // ready at once. Returns the other grains, unit by unit, so that units complete one by one, and
  // in turns from all layers, so that those that are ready are of use to every token. The manifest
  // must stay in place until clear().
  std::vector<MissingGrain> assign(const Assignment& assignment, const Manifest& manifest,
                                   const GrainStore& store);
  void clear();

  // The grain is in the store now.
  void grain_stored(const Digest& digest);
  // The store lost the grain: every unit that needs it is no longer ready. Returns those units.
  std::vector<UnitId> grain_lost(const Digest& digest);

  // Where an assigned unit has this grain.
  std::optional<GrainId> find_grain(const Digest& digest) const;

  bool assigned(UnitId unit) const { return units_.contains(unit); }
  bool ready(UnitId unit) const;
  void collect_grains(std::unordered_set<Digest>* out) const;  // of all assigned units
  bool all_ready() const { return ready_count_ == units_.size(); }
  uint32_t slices() const { return slices_; }
  size_t assigned_count() const { return units_.size(); }
  size_t ready_count() const { return ready_count_; }

  // What has changed since the last report, up to limits::kUnitsPerReport units of each kind.
  bool report_due() const { return !new_ready_.empty() || !new_lost_.empty(); }
  bool loss_unreported() const { return !new_lost_.empty(); }
  void take_report(Residency* out);
  // Everything that is ready is to be reported again: the coordinator may have forgotten.
  void report_again();

 private:
  GrainRange grains_of(UnitId unit) const;
  const Digest& digest_of(UnitId unit, uint32_t grain) const;

  const Manifest* manifest_ = nullptr;
  uint32_t slices_ = 1;
  std::unordered_map<UnitId, uint32_t> units_;               // grains that are missing
  std::unordered_map<Digest, std::vector<UnitId>> waiting_;  // units by missing grain
  size_t ready_count_ = 0;
  std::vector<UnitId> new_ready_;
  std::vector<UnitId> new_lost_;
};

}  // namespace potluck
