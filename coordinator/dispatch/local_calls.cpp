#include "coordinator/dispatch/local_calls.h"

#include <algorithm>
#include <tuple>

namespace potluck {
namespace {

void append(const RowCall& call, GrainRange grains, std::vector<ExpertCall>* calls) {
  ExpertCall* last = calls->empty() ? nullptr : &calls->back();
  if (last != nullptr && last->row == call.row && last->expert == call.expert &&
      // Slices of one expert that stand side by side become one call: its grains are then read,
      // laid out and multiplied at once.
      last->grains.first + last->grains.count == grains.first) {
    last->grains.count += grains.count;
  } else {
    calls->push_back({call.row, call.expert, grains, call.weight});
  }
}

}  // namespace

void LocalCalls::add(std::span<const RowCall> calls) {
  if (calls.empty()) return;
  calls_.insert(calls_.end(), calls.begin(), calls.end());
  sorted_ = false;
}

LocalCalls::Part LocalCalls::take(const ChunkPlan& plan, uint32_t slices) {
  if (!sorted_) {
    // By expert first, so that each is laid out once for all its rows; backwards, because work is
    // taken from the end.
    std::sort(calls_.begin(), calls_.end(), [](const RowCall& a, const RowCall& b) {
      return std::tie(a.expert, a.row, a.slice) > std::tie(b.expert, b.row, b.slice);
    });
    sorted_ = true;
  }
  Part part;
  while (!calls_.empty()) {
    RowCall call = calls_.back();
    bool same_expert = part.calls.empty() || part.calls.back().expert == call.expert;
    if (!same_expert && part.calls.size() >= kAtOnce) break;
    calls_.pop_back();
    ++part.unit_calls;
    append(call, slice_grains(plan.grains, call.slice, slices), &part.calls);
  }
  return part;
}

}  // namespace potluck
