// GrainFetcher: which grains of one pool are to be fetched next, which were asked for and from
// whom, and when to ask again. It holds a part of what is missing at a time (the caller appends
// more while it is hungry()), and a bounded number is under way, spread over all who hold them;
// lengths come from the manifest. It sends and stores nothing itself: its owner does. One thread.
//
//   queued --next()--> under way --on_data()--> complete --stored()--> gone
//     ^ ^                 |  |                      |
//     | +-- elsewhere() --+  | the coordinator      | refused by the store
//     |     the peer fails   | does not have it     |
//     +-------- pause <------+----------------------+     (after kTries: handed back)
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/experts/unit_id.h"
#include "protocol/message.h"
#include "worker/bulk_assembly.h"
#include "worker/fetch_sources.h"

namespace potluck {

// A grain that is not on disk.
struct MissingGrain {
  Digest digest;
  GrainId grain;  // where it stands in the model
  uint64_t bytes = 0;
  UnitId unit;  // one that needs it: who holds the unit holds the grain
};

struct FetchOrder {
  MissingGrain grain;
  SourceId source = kCoordinatorSource;
};

class GrainFetcher {
 public:
  // Before a grain that failed is asked for again; doubled for each further time.
  static constexpr Duration kPause = std::chrono::seconds(2);
  static constexpr uint32_t kTries = 5;
  // Grains that wait to be asked for at most: enough to find work for every holder, few enough
  // that an assignment of any size takes little memory.
  static constexpr size_t kLookAhead = 512;
  // And at most so many in all, those that wait after a failure included.
  static constexpr size_t kMostGrains = 8 * 1024;

  // From now on nothing is wanted but what is under way and `keep` accepts, which goes on (`keep`
  // may name another unit for it). Holders are forgotten.
  void restart(const std::function<bool(MissingGrain*)>& keep);
  void clear();
  // Whether append() is welcome.
  bool hungry() const { return queued_ < kLookAhead && entries_.size() < kMostGrains; }
  // Wants one more; `first`: before the others. What is wanted already is left as it is.
  void append(const MissingGrain& grain, bool first = false);
  // Who holds a unit; nothing happens unless grains of it are wanted.
  void set_holders(UnitId unit, std::span<const SourceId> holders);

  // Whom to ask for what next, or nothing for now. At most `window_bytes` are under way together,
  // but always at least one grain.
  std::optional<FetchOrder> next(TimePoint now, uint64_t window_bytes);

  struct Outcome {
    enum class Kind { kIgnored, kPart, kComplete, kNotFound, kBad };
    Kind kind = Kind::kIgnored;
    ByteVector bytes;  // kComplete: as long as the manifest says, not yet verified
  };
  // kComplete, kNotFound and kBad: the caller answers with stored(), elsewhere(), failed() or
  // drop().
  Outcome on_data(SourceId from, const BulkData& data, ByteSpan part, TimePoint now);

  // The grain is in the store: no longer wanted.
  void stored(const Digest& digest);
  // It came by another way, or is not needed: no longer wanted.
  void forget(const Digest& digest);
  // Asks again after a pause; false when it was tried often enough: it is not wanted any more.
  bool failed(const Digest& digest, TimePoint now);
  // The worker that was asked does not have it: asks another source at once.
  void elsewhere(const Digest& digest);

  // The roster has changed, or something has happened to a connection.
  void set_roster(const std::vector<RosterPeer>& peers);
  void on_connected(SourceId id) { sources_.on_connected(id); }
  void on_refused(SourceId id, TimePoint now);
  void on_lost(SourceId id, TimePoint now);
  // It sent wrong bytes and is not asked again.
  void drop(SourceId id);

  // What the coordinator was asked for was lost: all of it is to be asked for again.
  void ask_again(TimePoint now);
  // Takes up again what was paused, or lost after a long silence; keeps connections up to date.
  // True if one of them is to be begun or ended.
  bool on_tick(TimePoint now);
  // When on_tick() has something to do, or nothing is waited for.
  std::optional<TimePoint> next_tick() const;

  // We did not listen until now.
  void excuse_silence(TimePoint now) { sources_.excuse_silence(now); }

  const FetchSources& sources() const { return sources_; }
  bool wants(const Digest& digest) const { return entries_.contains(digest); }
  // The next grain that waits, for an owner who has it already; nothing when none does.
  std::optional<MissingGrain> first_queued() const;
  size_t wanted() const { return entries_.size(); }

  // Whether every wanted grain is in exactly one state, will leave it, and is counted; to be called
  // when next() has nothing more to give. The error names what is wrong. For tests: it takes time.
  Status validate() const;

 private:
  enum class State { kQueued, kUnderWay, kPaused };
  struct Entry {
    MissingGrain grain;
    BulkAssembly assembly;
    State state = State::kQueued;
    SourceId source = kCoordinatorSource;  // kUnderWay
    uint32_t failures = 0;
    TimePoint not_before{0};  // kPaused
  };
  struct Unit {
    size_t wanted = 0;  // grains
    std::vector<SourceId> holders;
  };
  using Entries = std::unordered_map<Digest, Entry>;
  using Units = std::unordered_map<UnitId, Unit>;

  void erase(Entries::iterator entry);
  void leave_state(Entry& entry);
  void queue(Entry& entry, bool first);
  void queue_returned();
  void forget_holders(Unit& unit);
  void uncount_unit(UnitId unit);
  Status validate_counts() const;

  FetchSources sources_;
  Entries entries_;
  Units units_;               // those with wanted grains
  std::deque<Digest> queue_;  // may name grains that are not queued any more
  size_t queued_ = 0;         // entries in kQueued
  std::set<std::pair<TimePoint, Digest>> paused_;
};

}  // namespace potluck
