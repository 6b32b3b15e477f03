// Choosing holders: which worker is asked for which of a batch's calls. A pure function: the same
// holders, the same tracks, the same moment and the same calls give the same distribution. Any
// thread.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/dispatch/call_queues.h"
#include "coordinator/dispatch/row_calls.h"
#include "coordinator/dispatch/worker_track.h"

namespace potluck {

// What the choice depends on, besides the calls.
struct HolderView {
  const ClusterState& cluster;
  const WorkerTracks& tracks;
  const CallQueues& queues;
  uint32_t slices = 1;
  TimePoint now{0};
  std::span<const PeerKey> except = {};  // are not chosen: they were asked for these calls before
  Willingness least = Willingness::kReluctant;  // of those that may be chosen
};

// Calls that the worker was asked for and has not answered, in all batches, or will be.
uint64_t calls_ahead(const HolderView& view, const PeerKey& worker);

// Who is asked for what. Plain value.
class Distribution {
 public:
  static constexpr int32_t kNobody = -1;

  // Calls for one worker; none if it holds units but was not chosen for any.
  struct Share {
    PeerKey worker;
    RowCalls calls;

    // While the choice is made.
    Willingness willingness = Willingness::kNone;
    uint8_t health = 100;  // percent of its speed that the worker lends
    uint64_t load = 0;     // calls of its units, and calls_ahead()

    // The calls it has, as if it lent all: one that lends half of its speed gets half as many.
    uint64_t burden() const { return load * 100 / std::max<uint64_t>(health, 1); }
  };
  // One unit, with all rows that need it.
  struct Unit {
    UnitId id;
    uint32_t calls = 0;
    int32_t share = kNobody;  // index into shares()
  };

  // The calls may be moved out.
  std::span<Share> shares() { return {shares_.data(), shares_used_}; }
  std::span<const Share> shares() const { return {shares_.data(), shares_used_}; }
  // Workers that are asked for something.
  uint32_t workers_asked() const;
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

// One holder for all rows of a unit, so that the unit is read once: of the most willing the one
// that has the fewest calls ahead of it for what it lends of its speed, and among equals the one
// with the lowest number. One that
// would have more than kMostCallsAhead is asked for nothing. `memory` is any distribution that is
// needed no more: its memory is used again, what it says does not matter.
Distribution choose_holders(const HolderView& view, uint32_t layer, std::span<const RowCall> calls,
                            Distribution memory = {});

// What may wait for one worker: several of the largest batches, 12 bytes a call. What comes on top
// goes to others, at last to the coordinator itself.
inline constexpr uint64_t kMostCallsAhead = 4 * 1024 * 1024;

}  // namespace potluck
