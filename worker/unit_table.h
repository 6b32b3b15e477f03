// UnitTable: the units one pool assigned to this worker, which of them are ready to compute (all
// their grains lie in the store), which are to be fetched next, and what the coordinator has not
// been told yet. Bookkeeping over a verified manifest; nothing is read from disk. One thread.
//
//   waiting --open_next()--> open: its missing grains are being fetched --the last stored--> ready
//     ^ ^                     |                                                               |
//     | +--- postponed <------+ grains that cannot be had: later again                        |
//     +--------------------------------- a grain is lost -------------------------------------+
//
// An assignment may name millions of grains: what is kept is some 20 bytes a unit, and more only
// for units that are open.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/manifest.h"
#include "protocol/message.h"
#include "worker/grain_fetcher.h"

namespace potluck {

// Whether the manifest has these units, cut into that many slices. The error names the unit.
Status check_assignment(const Assignment& assignment, const Manifest& manifest);

class UnitTable {
 public:
  // Before a unit whose grains could not be had is tried again; doubled for each further time.
  static constexpr Duration kFirstRetry = std::chrono::seconds(30);
  static constexpr Duration kLongestRetry = std::chrono::minutes(8);

  // Takes an assignment that passed check_assignment(). Units whose grains are all in the store are
  // ready at once, the others wait, in turns from all layers, so that those that become ready are
  // of use to every token. The manifest must stay in place until clear().
  void assign(const Assignment& assignment, const Manifest& manifest, const GrainStore& store);
  void clear();

  struct OpenUnit {
    UnitId unit;
    bool first = false;                 // it was ready before: to be fetched before the others
    std::vector<MissingGrain> missing;  // each digest once
    std::span<const SourceId> holders;
  };
  // Opens the next unit that waits; nothing when none does. Those that turn out to lack nothing are
  // ready without further ado.
  std::optional<OpenUnit> open_next(const GrainStore& store);
  bool any_waiting() const { return !order_.empty(); }
  bool any_open() const { return !waiting_for_.empty(); }
  // The holders of a unit as the assignment has them.
  std::span<const SourceId> holders_of(UnitId unit) const;
  // The assigned unit that has the grain and is not ready; nothing if there is none.
  std::optional<UnitId> unit_in_need_of(const MissingGrain& grain) const;

  // The grain is in the store now.
  void grain_stored(const Digest& digest);
  // It cannot be had: the units that need it are tried again later. Returns the grains that no open
  // unit needs any more.
  std::vector<Digest> postpone(const Digest& digest, TimePoint now);
  // Nothing can be stored: all open units wait again.
  void close_all();
  // Units whose time has come wait again.
  void on_tick(TimePoint now);
  std::optional<TimePoint> next_tick() const;
  // The store lost the grain: every unit that needs it waits for it again. Returns those that were
  // ready. The caller has closed what was being fetched of the others.
  std::vector<UnitId> grain_lost(const Digest& digest);

  // The store cannot be reached: whatever is ready or open waits again, and becomes ready without
  // being fetched if the store has it once it is back.
  void lose_all();

  bool assigned(UnitId unit) const { return find(unit) != nullptr; }
  bool ready(UnitId unit) const;
  // The first eight bytes of the digests of all grains of assigned units; unsorted.
  void collect_grains(std::vector<uint64_t>* out) const;
  bool all_ready() const { return ready_count_ == units_.size(); }
  uint32_t slices() const { return slices_; }
  size_t assigned_count() const { return units_.size(); }
  size_t ready_count() const { return ready_count_; }
  uint64_t ready_bytes() const { return sum_bytes(true); }  // of the grains of ready units
  // Of the grains of the others, some of which may be in the store.
  uint64_t missing_bytes() const { return sum_bytes(false); }
  uint64_t memory_bytes() const;  // that this table takes, nearly

  // What has changed since the last report, up to limits::kUnitsPerReport units of each kind.
  bool report_due() const { return !new_ready_.empty() || !new_lost_.empty(); }
  bool loss_unreported() const { return !new_lost_.empty(); }
  void take_report(Residency* out);
  // Everything that is ready is to be reported again: the coordinator may have forgotten.
  void report_again();

  // Whether every unit is in exactly one state and will leave it unless it is ready. The error
  // names what is wrong. For tests: it takes time.
  Status validate(const GrainStore& store) const;

 private:
  enum class State : uint8_t { kReady, kWaiting, kOpen, kPostponed };
  struct Unit {
    UnitId id;
    uint16_t missing = 0;  // kOpen: grains
    State state = State::kWaiting;
    bool urgent = false;   // it was ready once
    uint8_t failures = 0;  // how often it was postponed in a row
  };

  const Unit* find(UnitId unit) const;
  Unit* find(UnitId unit) { return const_cast<Unit*>(std::as_const(*this).find(unit)); }
  size_t index_of(const Unit& unit) const { return static_cast<size_t>(&unit - units_.data()); }
  void take_units(const Assignment& assignment);
  void order_waiting();
  GrainRange grains_of(UnitId unit) const;
  const Digest& digest_of(UnitId unit, uint32_t grain) const;
  bool complete(UnitId unit, const GrainStore& store) const;
  std::vector<MissingGrain> missing_of(UnitId unit, const GrainStore& store) const;
  void make_ready(Unit& unit);
  std::vector<Digest> close(Unit& unit);
  void wait_again(Unit& unit, bool first);
  bool waits_for(const Unit& unit, const Digest& digest) const;
  uint64_t bytes_of(UnitId unit) const;
  uint64_t sum_bytes(bool ready) const;

  const Manifest* manifest_ = nullptr;
  uint32_t slices_ = 1;
  std::vector<Unit> units_;              // sorted by id
  std::vector<uint32_t> holders_begin_;  // of each unit, and the end; empty: there are none
  std::vector<SourceId> holders_;        // unit by unit
  std::deque<uint32_t> order_;           // kWaiting: indices, which is first
  std::unordered_map<Digest, std::vector<uint32_t>> waiting_for_;  // kOpen: by missing grain
  std::set<std::pair<TimePoint, uint32_t>> postponed_;             // kPostponed: indices
  size_t ready_count_ = 0;
  std::vector<UnitId> new_ready_;
  std::vector<UnitId> new_lost_;
};

}  // namespace potluck
