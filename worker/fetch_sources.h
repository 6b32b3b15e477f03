// FetchSources: from whom grains may be fetched: the coordinator, and other workers as the roster
// names them; what is under way at each, and which parts of it were asked for and have not come
// yet; and who is to be asked next. The
// coordinator is asked only when no worker can be. Pure bookkeeping; one thread.
//
//   a worker:  kIdle --needed--> kConnecting --on_connected()--> kConnected
//                ^                   | not within 2 s             | lost, silent, gone, not needed
//                +---- pause --------+----------------------------+
//              and no way back after it has sent wrong bytes
//
// A grain is under way only at a source that is connected, and is due there: every way in which a
// connection ends goes through end_link(), which hands its grains back to the caller
// (take_returned()). validate() checks this and tests call it after every event.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "protocol/message.h"
#include "worker/part_window.h"

namespace potluck {

// Given in order of appearance and never reused, so that lists of holders stay true.
using SourceId = uint16_t;
inline constexpr SourceId kCoordinatorSource = 0;

struct FetchSource {
  enum class Link { kIdle, kConnecting, kConnected };
  struct UnderWay {
    Digest digest;
    uint64_t bytes = 0;
    TimePoint asked_at{0};
  };

  PeerKey key;
  std::string endpoint;
  std::string name;
  bool listed = false;   // in the roster at present
  bool dropped = false;  // it sent wrong bytes
  Link link = Link::kIdle;
  uint32_t failures = 0;          // in a row
  TimePoint not_before{0};        // kIdle: when to try again
  bool trying = false;            // to connect, perhaps for the second time after a refusal
  TimePoint connecting_since{0};  // trying
  PartWindow window;              // parts of what is under way that were asked for
  std::vector<UnderWay> under_way;
  uint64_t under_way_bytes = 0;
  size_t units = 0;    // wanted units that it holds; asked for nothing more at 0
  uint64_t bytes = 0;  // of grains from it that were right
};

class FetchSources {
 public:
  // As many as there are parts: enough to keep a long link busy with the smallest grains.
  static constexpr size_t kWindowGrains = limits::kBulkPartsAsked;
  // A worker that takes longer for one grain, after a while to begin with, is no help: however
  // regularly a few bytes come.
  static constexpr Duration kSlowest = std::chrono::seconds(30);
  static constexpr uint64_t kLeastBytesPerSecond = 16 * kKiB;
  // A connection that does not come about: a device behind NAT, or switched off.
  static constexpr Duration kPatience = std::chrono::seconds(2);
  // A worker that does not know us yet hears of us from the coordinator in a moment.
  static constexpr Duration kRefusedPause = std::chrono::milliseconds(50);
  // After a failure; doubling with each further one in a row.
  static constexpr Duration kFirstPause = std::chrono::milliseconds(500);
  static constexpr Duration kLongestPause = std::chrono::seconds(64);

  FetchSources();

  // The roster replaces the last one. Who is gone from it, or has another endpoint now, is no
  // longer connected.
  void set_roster(const std::vector<RosterPeer>& peers);
  std::optional<SourceId> find(const PeerKey& key) const;
  // At most limits::kSourcesPerReport and one.
  SourceId size() const { return static_cast<SourceId>(sources_.size()); }
  const FetchSource& at(SourceId id) const { return sources_.at(id); }

  // One more, or one less, of the wanted units is held by this worker.
  void add_unit(SourceId id) { ++sources_.at(id).units; }
  void remove_unit(SourceId id) { --sources_.at(id).units; }
  PartWindow& window(SourceId id) { return sources_.at(id).window; }
  // A grain from there was right.
  void delivered(SourceId id, uint64_t bytes);

  // The part of the window that each source has, so that one of several is not asked for
  // everything.
  uint64_t share_of(uint64_t window_bytes) const;
  // Whether any source at all may be asked for another grain, with so many bytes under way in
  // total.
  bool any_room(uint64_t window_bytes, uint64_t share) const;
  // Whom to ask for a grain: of the holders the one with the fewest bytes under way, else the
  // coordinator; nothing while all who could be asked are busy or about to be connected.
  std::optional<SourceId> choose(std::span<const SourceId> holders, uint64_t bytes,
                                 uint64_t window_bytes, uint64_t share) const;
  // The grain is to be fetched from the source, which choose() named.
  void take(SourceId id, const Digest& digest, uint64_t bytes, TimePoint now);
  // The grain is no longer under way there.
  void release(SourceId id, const Digest& digest);
  // What was under way at connections that have ended since the last call, in the order in which it
  // was asked for.
  std::vector<Digest> take_returned() { return std::exchange(returned_, {}); }

  void on_connected(SourceId id);
  // It does not let us in: tried again at once for a while.
  void on_refused(SourceId id, TimePoint now);
  // Not reachable or not answering: not asked for a while.
  void pause(SourceId id, TimePoint now);
  void drop(SourceId id);

  // Begins and ends connections by what is wanted now, and gives up those that do not come about;
  // true if something has changed.
  bool update_links(TimePoint now);
  // Sources whose answers are overdue.
  std::vector<SourceId> overdue(TimePoint now) const;
  std::optional<TimePoint> next_tick() const;
  void excuse_silence(TimePoint now);

  size_t under_way() const { return under_way_; }
  uint64_t under_way_bytes() const { return under_way_bytes_; }
  // Whether what is under way is connected, due and counted; the error names what is not.
  Status validate() const;

 private:
  // Worth a connection: it holds what is wanted, or is about to send what it was asked for.
  static bool needed(const FetchSource& source);
  // Has something to send, or to be asked for.
  static bool owes(const FetchSource& source);
  void return_all(SourceId id);
  void end_link(SourceId id);
  bool room(SourceId id, uint64_t bytes, uint64_t window_bytes, uint64_t share) const;
  static TimePoint overdue_at(SourceId id, const FetchSource& source);

  std::vector<FetchSource> sources_;
  std::map<PeerKey, SourceId> ids_;  // of workers
  size_t under_way_ = 0;
  uint64_t under_way_bytes_ = 0;
  std::vector<Digest> returned_;
};

}  // namespace potluck
