// GrainFetcher: which grains of one pool are still wanted, which were asked for, and when to ask
// again. A bounded number is under way at any time; lengths come from the manifest. It sends and
// stores nothing itself: whoever owns it does. One thread.
//
//   queued --next()--> under way --on_data()--> complete --stored()--> gone
//      ^                  |  ^                      |
//      |        not found |  | 5 s of silence       | refused by the store
//      +---- pause <------+--+----------------------+     (after kTries: given up)
#pragma once

#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/base/clock.h"
#include "engine/experts/unit_id.h"
#include "protocol/message.h"
#include "worker/bulk_assembly.h"

namespace potluck {

// A grain that is not on disk.
struct MissingGrain {
  Digest digest;
  GrainId grain;  // where it stands in the model
  uint64_t bytes = 0;
};

class GrainFetcher {
 public:
  // Enough to keep a fast link busy while grains are hashed and written.
  static constexpr size_t kWindowGrains = 8;
  // Nothing at all on the bulk channel for so long: what was asked for is lost.
  static constexpr Duration kSilence = std::chrono::seconds(5);
  // Before a grain that failed is asked for again.
  static constexpr Duration kPause = std::chrono::seconds(2);
  static constexpr uint32_t kTries = 5;

  // From now on these grains are wanted, in this order, and no others. What is under way and still
  // wanted goes on; what was given up is tried again.
  void replace(std::vector<MissingGrain> wanted, TimePoint now);
  // Wants one more, before the others.
  void add(const MissingGrain& grain, TimePoint now);
  void clear();

  // The next grain to ask for, or nothing for now. At most `window_bytes` are under way together,
  // but always at least one grain.
  std::optional<MissingGrain> next(TimePoint now, uint64_t window_bytes);

  struct Outcome {
    enum class Kind { kIgnored, kPart, kComplete, kNotFound, kBad };
    Kind kind = Kind::kIgnored;
    ByteVector bytes;  // kComplete: as long as the manifest says, not yet verified
  };
  // kComplete, kNotFound and kBad: the caller answers with stored() or failed().
  Outcome on_data(const BulkData& data, ByteSpan part, TimePoint now);

  // The grain is in the store: no longer wanted.
  void stored(const Digest& digest);
  // Asks again after a pause; false when it was given up instead.
  bool failed(const Digest& digest, TimePoint now);

  // What is under way was lost: all of it is to be asked for again.
  void ask_again(TimePoint now);
  // Takes up again what was paused, or lost after a long silence.
  void on_tick(TimePoint now);
  // When on_tick() has something to do, or nothing is waited for.
  std::optional<TimePoint> next_tick() const;

  // We did not listen until now.
  void excuse_silence(TimePoint now) { last_heard_ = now; }

  size_t wanted() const { return entries_.size(); }

 private:
  enum class State { kQueued, kUnderWay, kPaused };
  struct Entry {
    MissingGrain grain;
    BulkAssembly assembly;
    State state = State::kQueued;
    uint32_t failures = 0;
    TimePoint not_before{0};  // kPaused
  };

  bool insert(const MissingGrain& grain);
  void set_under_way(Entry& entry, bool under_way);

  std::unordered_map<Digest, Entry> entries_;
  std::deque<Digest> queue_;  // may name grains that are no longer wanted or queued
  std::vector<Digest> paused_;
  size_t under_way_ = 0;
  uint64_t under_way_bytes_ = 0;
  TimePoint last_heard_{0};  // on the bulk channel, or when the first request of a run went out
};

}  // namespace potluck
