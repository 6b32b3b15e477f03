#include "coordinator/dispatch/holder_choice.h"

#include <algorithm>
#include <utility>

namespace potluck {
namespace {

// Nothing speaks against a worker of which nothing is known.
Willingness willingness_of(const HolderView& view, const PeerKey& worker, uint8_t health) {
  if (std::ranges::find(view.except, worker) != view.except.end()) return Willingness::kNone;
  auto track = view.tracks.find(worker);
  Willingness found =
      track == view.tracks.end() ? Willingness::kGladly : track->second.willingness(view.now);
  // One that lends nothing of its speed is asked for what no other has.
  if (health == 0) found = std::min(found, Willingness::kReluctant);
  return found < view.least ? Willingness::kNone : found;
}

}  // namespace

uint64_t calls_ahead(const HolderView& view, const PeerKey& worker) {
  auto track = view.tracks.find(worker);
  uint64_t owed = track == view.tracks.end() ? 0 : track->second.owed_calls();
  return owed + view.queues.waiting_calls(worker);
}

uint32_t Distribution::workers_asked() const {
  return static_cast<uint32_t>(
      std::ranges::count_if(shares(), [](const Share& share) { return !share.calls.empty(); }));
}

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

// The first of the most willing with the least burden: holders are in order of their number.
int32_t Distribution::choose(const HolderView& view, const Unit& unit) {
  if (view.cluster.is_own(unit.id.layer, unit.id.expert)) return kNobody;
  int32_t best = kNobody;
  for (const PeerKey& holder : view.cluster.holders(unit.id)) {
    size_t index = share_of(view, holder);
    const Share& share = shares_[index];
    if (share.willingness == Willingness::kNone) continue;
    if (share.load + unit.calls > kMostCallsAhead) continue;
    if (best >= 0) {
      const Share& other = shares_[static_cast<size_t>(best)];
      if (share.willingness < other.willingness) continue;
      bool as_willing = share.willingness == other.willingness;
      if (as_willing && share.burden() >= other.burden()) continue;
    }
    best = static_cast<int32_t>(index);
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
  const WorkerRecord* record = view.cluster.worker(worker);
  share.health = record == nullptr ? 100 : record->health.share;
  share.willingness = willingness_of(view, worker, share.health);
  share.load = calls_ahead(view, worker);
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
