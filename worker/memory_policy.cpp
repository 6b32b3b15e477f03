#include "worker/memory_policy.h"

#include <algorithm>

#include "engine/base/bytes.h"

namespace potluck {
namespace {

// What is to be left for everything else on the device: a sixteenth of its memory, within bounds.
// Android kills in earnest below some 5 %; a group of 128 MiB has nothing to spare.
constexpr uint64_t kReservePart = 16;
constexpr uint64_t kLeastReserve = 8 * kMiB;
constexpr uint64_t kMostReserve = 512 * kMiB;
constexpr double kSomeWaits = 10;  // percent of the time: a quarter of the experts' memory goes
constexpr double kManyWaits = 40;  // half of it
constexpr double kCalmWaits = 2;

uint64_t reserve_of(const MemoryState& state) {
  return std::clamp(state.total / kReservePart, kLeastReserve, kMostReserve);
}

}  // namespace

// Of what the experts hold; nothing where there is no pressure. Under pressure 0 means that it must
// not become more.
std::optional<uint64_t> MemoryPolicy::wanted_back(const MemoryState& state, TimePoint now) const {
  std::optional<uint64_t> back;
  const uint64_t reserve = reserve_of(state);
  // As much as to be well clear of the border: a worker that gives back a page at a time is the
  // next one to be killed.
  if (state.total > 0 && state.available < reserve) back = 2 * reserve - state.available;
  const bool may_stall = !shrunk_at_ || now - *shrunk_at_ >= kStallPause;
  const double stall = state.stall.value_or(0);
  if (may_stall && stall >= kSomeWaits) {
    back = std::max(back.value_or(0), state.resident / (stall >= kManyWaits ? 2 : 4));
  }
  return back;
}

void MemoryPolicy::shrink_to(uint64_t next, uint64_t held, TimePoint now) {
  calm_since_.reset();
  if (next >= limit_) return;
  shrunk_at_ = now;
  ++shrinks_;
  given_back_ += held > next ? held - next : 0;
  limit_ = next;
}

uint64_t MemoryPolicy::judge(const MemoryState& state, TimePoint now) {
  if (const auto back = wanted_back(state, now)) {
    const uint64_t held = std::min(state.resident, limit_);
    shrink_to(std::max(floor(), held - std::min(*back, held)), held, now);
    return limit_;
  }
  const uint64_t reserve = reserve_of(state);
  const bool plenty = state.total == 0 || state.available > 3 * reserve;
  if (!plenty || state.stall.value_or(0) > kCalmWaits) {
    calm_since_.reset();
    return limit_;
  }
  if (!calm_since_) calm_since_ = now;
  const bool due = now - *calm_since_ >= kCalm && now - grown_at_ >= kStep;
  if (limit_ == offered_ || !due) return limit_;
  grown_at_ = now;
  // No more than is there: else the next look would have to take it away again.
  const uint64_t spare = state.total == 0 ? offered_ : state.available - 2 * reserve;
  limit_ = std::min({offered_, limit_ + std::max<uint64_t>(offered_ / kFloorPart, 1),
                     std::max(limit_, state.resident + spare)});
  return limit_;
}

}  // namespace potluck
