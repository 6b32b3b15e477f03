#include "coordinator/dispatch/holder_choice.h"

#include <utility>

namespace potluck {
namespace {

// Nothing speaks against a worker of which nothing is known.
bool is_usable(const HolderView& view, const PeerKey& worker) {
  if (view.except != nullptr && worker == *view.except) return false;
  auto track = view.tracks.find(worker);
  return track == view.tracks.end() || track->second.usable(view.now);
}

}  // namespace

// places_ finds a unit by its number without a map: this runs once a layer for every token. It is
// all zeros between two uses, and only what was set is cleared again (split()).
void Distribution::list_units(uint32_t layer, uint32_t slices, std::span<const RowCall> calls) {
  units_.clear();
  for (const RowCall& call : calls) {
    size_t name = size_t{call.expert} * slices + call.slice;
    if (name >= places_.size()) places_.resize(name + 1, 0);
    if (places_[name] == 0) {
      units_.push_back({{static_cast<uint16_t>(layer), call.expert, call.slice}, 0, kNobody});
      places_[name] = static_cast<uint32_t>(units_.size());
    }
    ++units_[places_[name] - 1].calls;
  }
}

// The first of those with the fewest calls: holders are in order of their number.
int32_t Distribution::choose(const HolderView& view, const Unit& unit) {
  if (view.cluster.is_own(unit.id.layer, unit.id.expert)) return kNobody;
  int32_t best = kNobody;
  for (const PeerKey& holder : view.cluster.holders(unit.id)) {
    size_t share = share_of(view, holder);
    if (!shares_[share].usable) continue;
    if (best >= 0 && shares_[share].load >= shares_[static_cast<size_t>(best)].load) continue;
    best = static_cast<int32_t>(share);
  }
  // Greedy, in the order of the calls: replicas then share a batch about evenly, and the choice is
  // a function of what is known here, so that the simulator can repeat it.
  if (best >= 0) shares_[static_cast<size_t>(best)].load += unit.calls;
  return best;
}

size_t Distribution::share_of(const HolderView& view, const PeerKey& worker) {
  for (size_t i = 0; i < shares_used_; ++i) {
    if (shares_[i].worker == worker) return i;
  }
  if (shares_used_ == shares_.size()) shares_.emplace_back();
  Share& share = shares_[shares_used_];
  share.worker = worker;
  share.usable = is_usable(view, worker);
  share.load = 0;
  share.calls.clear();
  return shares_used_++;
}

// Leaves places_ as it was before.
void Distribution::split(uint32_t slices, std::span<const RowCall> calls) {
  held_by_nobody_.clear();
  for (const RowCall& call : calls) {
    size_t name = size_t{call.expert} * slices + call.slice;
    int32_t share = units_[places_[name] - 1].share;
    RowCalls& to = share == kNobody ? held_by_nobody_ : shares_[static_cast<size_t>(share)].calls;
    to.push_back(call);
  }
  for (const Unit& unit : units_) places_[size_t{unit.id.expert} * slices + unit.id.slice] = 0;
}

Distribution choose_holders(const HolderView& view, uint32_t layer, std::span<const RowCall> calls,
                            Distribution memory) {
  Distribution result = std::move(memory);
  result.shares_used_ = 0;
  result.list_units(layer, view.slices, calls);
  for (Distribution::Unit& unit : result.units_) unit.share = result.choose(view, unit);
  result.split(view.slices, calls);
  return result;
}

}  // namespace potluck
