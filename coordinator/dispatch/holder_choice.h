// Choosing holders: which worker is asked for which of a batch's calls. A pure function: the same
// holders, the same tracks, the same moment and the same calls give the same distribution. Any
// thread.
#pragma once

#include <span>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/dispatch/row_calls.h"
#include "coordinator/dispatch/worker_track.h"

namespace potluck {

// What the choice depends on, besides the calls.
struct HolderView {
  const ClusterState& cluster;
  const WorkerTracks& tracks;
  uint32_t slices = 1;
  TimePoint now{0};
  const PeerKey* except = nullptr;  // is not chosen: it has failed these calls
};

// Who is asked for what. Plain value.
class Distribution {
 public:
  // Calls for one worker; none if it holds units but was not chosen for any.
  struct Share {
    PeerKey worker;
    RowCalls calls;

    // While the choice is made.
    bool usable = false;
    uint64_t load = 0;  // calls of its units
  };
  // One unit, with all rows that need it.
  struct Unit {
    UnitId id;
    uint32_t calls = 0;
    int32_t share = kNobody;  // index into shares()
  };
  static constexpr int32_t kNobody = -1;

  // The calls may be moved out.
  std::span<Share> shares() { return {shares_.data(), shares_used_}; }
  std::span<const Share> shares() const { return {shares_.data(), shares_used_}; }
  // Each once, in the order in which the calls name them.
  const std::vector<Unit>& units() const { return units_; }
  // Calls of units that no usable worker holds, or that the coordinator computes itself.
  const RowCalls& held_by_nobody() const { return held_by_nobody_; }

 private:
  friend Distribution choose_holders(const HolderView&, uint32_t, std::span<const RowCall>,
                                     Distribution);

  void list_units(uint32_t layer, uint32_t slices, std::span<const RowCall> calls);
  int32_t choose(const HolderView& view, const Unit& unit);
  size_t share_of(const HolderView& view, const PeerKey& worker);
  void split(uint32_t slices, std::span<const RowCall> calls);

  std::vector<Share> shares_;  // the first shares_used_ are in use, the others keep memory
  size_t shares_used_ = 0;
  std::vector<Unit> units_;
  RowCalls held_by_nobody_;
  std::vector<uint32_t> places_;  // [expert, slice]: 1 + index into units_; 0 between choices
};

// One holder for all rows of a unit, so that the unit is read once: the usable one that has the
// fewest calls so far, and among equals the one with the lowest number. `memory` is any
// distribution that is needed no more: its memory is used again, what it says does not matter.
Distribution choose_holders(const HolderView& view, uint32_t layer, std::span<const RowCall> calls,
                            Distribution memory = {});

}  // namespace potluck
