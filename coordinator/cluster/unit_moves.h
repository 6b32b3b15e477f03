// UnitMoves: units on their way from one holder to the next. A unit leaves its holder only after
// those that are to have it have said that they are ready: until then the old holder keeps it and
// computes, as far as its disk has room for that beside what it gets. Owned by Membership; one
// thread.
#pragma once

#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/cluster/placement.h"
#include "engine/experts/manifest.h"

namespace potluck {

using UnitSets = std::map<PeerKey, std::set<UnitId>>;

class UnitMoves {
 public:
  // `manifest` must outlive the object.
  UnitMoves(const Manifest& manifest, uint32_t slices) : manifest_(manifest), slices_(slices) {}

  // Where units are to go. Returns what every worker in `primary` is to hold meanwhile.
  UnitSets begin(const ClusterState& state, const Placement& primary, const Placement& replicas);
  // Whether a unit is with the worker by the last placement, and not as a replica or on its way.
  bool is_primary(const PeerKey& worker, UnitId unit) const;

  // Some holders keep units for the time being.
  bool moving() const { return !leaving_.empty(); }
  // What those need not keep any longer, by holder; from now on they are not asked to.
  UnitSets take_finished(const ClusterState& state);
  // Whether this worker has nothing that others still wait for.
  bool is_relieved(const ClusterState& state, const PeerKey& worker) const;
  // The worker has lost these. Returns those that it only kept: it is not to fetch them again.
  std::set<UnitId> lost(const PeerKey& worker, const std::vector<UnitId>& units);
  void forget(const PeerKey& worker);

 private:
  bool is_ready(const ClusterState& state, UnitId unit) const;
  static UnitSets not_wanted(const ClusterState& state, const UnitSets& wanted);
  void keep_for_others(const ClusterState& state, const PeerKey& worker,
                       const std::set<UnitId>& wanted, std::set<UnitId>* units) const;

  const Manifest& manifest_;
  uint32_t slices_;
  UnitSets primary_;
  UnitSets leaving_;  // no empty sets
  // Who is to hold a unit in the end.
  std::unordered_map<UnitId, std::vector<PeerKey>> next_holders_;
};

}  // namespace potluck
