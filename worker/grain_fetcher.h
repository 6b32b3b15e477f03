// GrainFetcher: which grains of one pool are to be fetched next, which were asked for and from
// whom, and when to ask again. It holds a part of what is missing at a time (the caller appends
// more while it is hungry()), and a bounded number is under way, spread over all who hold them, and
// of these a bounded number of parts; lengths come from the manifest. What has arrived of a grain
// stays when its sender falls silent or goes: the next one is asked for the rest. It sends and
// stores nothing itself: its owner does. One thread.
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

// One part of a grain that is to be asked for.
struct FetchOrder {
  MissingGrain grain;
  SourceId source = kCoordinatorSource;
  uint64_t offset = 0;
  uint32_t length = 0;
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
  // Of grains that were begun and wait for another sender, so much is kept; beyond it they begin
  // anew.
  static constexpr uint64_t kKeptBytes = 4 * kMiB;

  // From now on nothing is wanted but what was begun and `keep` accepts, which goes on (`keep` may
  // name another unit for it). Holders are forgotten.
  void restart(const std::function<bool(MissingGrain*)>& keep);
  void clear();
  // Whether append() is welcome.
  bool hungry() const { return queued_ < kLookAhead && entries_.size() < kMostGrains; }
  // Wants one more; `first`: before the others. What is wanted already is left as it is.
  void append(const MissingGrain& grain, bool first = false);
  // Who holds a unit; nothing happens unless grains of it are wanted.
  void set_holders(UnitId unit, std::span<const SourceId> holders);

  // Whom to ask for what next, or nothing for now. Grains of at most `window_bytes` are under way
  // together, but always at least one.
  std::optional<FetchOrder> next(TimePoint now, uint64_t window_bytes);

  struct Outcome {
    enum class Kind { kIgnored, kPart, kComplete, kNotFound, kBad };
    Kind kind = Kind::kIgnored;
    ByteVector bytes;  // kComplete: as long as the manifest says, not yet verified
    // kComplete: parts came from several sources: if the bytes are wrong, none of them is to blame.
    bool mixed = false;
  };
  // kComplete, kNotFound and kBad: the caller answers with stored(), elsewhere(), begin_anew(),
  // failed() or drop().
  Outcome on_data(SourceId from, const BulkData& data, ByteSpan part, TimePoint now);

  // The grain is in the store: no longer wanted.
  void stored(const Digest& digest);
  // It came by another way, or is not needed: no longer wanted.
  void forget(const Digest& digest);
  // Asks again after a pause; false when it was tried often enough: it is not wanted any more.
  bool failed(const Digest& digest, TimePoint now);
  // The worker that was asked does not have it: asks another source at once.
  void elsewhere(const Digest& digest);
  // Its bytes were wrong and came from several sources: fetched again, from a single one this time.
  void begin_anew(const Digest& digest);

  // The roster has changed, or something has happened to a connection.
  void set_roster(const std::vector<RosterPeer>& peers);
  void on_connected(SourceId id) { sources_.on_connected(id); }
  void on_refused(SourceId id, TimePoint now);
  void on_lost(SourceId id, TimePoint now);
  // It sent wrong bytes and is not asked again.
  void drop(SourceId id);

  // What the coordinator was asked for was lost with the connection: what is missing of it is to be
  // asked for again.
  void ask_again();
  // Takes up again what was paused, or lost after a long silence; keeps connections up to date.
  // True if one of them is to be begun or ended.
  bool on_tick(TimePoint now);
  // When on_tick() has something to do, or nothing is waited for.
  std::optional<TimePoint> next_tick() const;

  // We did not listen until now.
  void excuse_silence(TimePoint now) { sources_.excuse_silence(now); }

  const FetchSources& sources() const { return sources_; }
  // Of the coordinator, for an owner who asks it for other things as well: they share one link.
  PartWindow& window(SourceId id) { return sources_.window(id); }
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
    SourceId source = kCoordinatorSource;  // kUnderWay; kQueued: of what has arrived
    uint32_t failures = 0;
    TimePoint not_before{0};  // kPaused
    bool mixed = false;       // the bytes in it come from several sources
    bool unmixed = false;     // they must not
  };
  struct Unit {
    size_t wanted = 0;  // grains
    std::vector<SourceId> holders;
  };
  using Entries = std::unordered_map<Digest, Entry>;
  using Units = std::unordered_map<UnitId, Unit>;

  std::optional<FetchOrder> next_part(TimePoint now);
  bool begin_next(TimePoint now, uint64_t window_bytes);
  void ask_parts_again(SourceId id);
  void erase(Entries::iterator entry);
  void leave_state(Entry& entry);
  void keep_begun(Entry& entry);
  void begin_from_start(Entry& entry);
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
  uint64_t kept_bytes_ = 0;  // of entries that are not under way
};

}  // namespace potluck
