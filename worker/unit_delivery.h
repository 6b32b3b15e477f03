// UnitDelivery: what this worker keeps for one pool: the assignment and its units, the grains of
// them that go into the store, what is done when there is no room, and the reports of what is ready
// and what was lost. Where grains come from is not its concern: PoolSources takes the units that
// are to be fetched from here, and brings their grains. Owned by PoolSession. One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "worker/coordinator_link.h"
#include "worker/room_offer.h"
#include "worker/unit_table.h"

namespace potluck {

// Removes grains that no pool needs until `bytes` fit into the store; false if they cannot.
using MakeRoom = std::function<bool(uint64_t bytes)>;

class UnitDelivery {
 public:
  // All references must outlive the object. `disk_bytes`: as Hello said.
  UnitDelivery(GrainStore& store, const MakeRoom& make_room, uint64_t disk_bytes,
               CoordinatorLink& link)
      : store_(store), make_room_(make_room), disk_bytes_(disk_bytes), link_(link) {}

  // --- assignments ---
  // Came before the manifest, or before the Welcome of its epoch: the newest one waits.
  void keep_early(Assignment assignment);
  // From now on these units; false if an assignment is outdated or contradicts the manifest, which
  // must stay in place until on_welcome() says otherwise.
  bool assign(const Assignment& assignment, const Manifest& manifest);
  // The coordinator may count from the start again, and may have forgotten what it was told.
  // Unless epoch and manifest are the same as before, nothing is assigned any more.
  void on_welcome(bool same);
  // What is ready is reported again. Returns the assignment that waited, if it is of this epoch.
  std::optional<Assignment> become_member(uint64_t epoch);

  // --- for those who fetch and compute ---
  const UnitTable& units() const { return units_; }
  // Nothing is to be fetched: it could not be stored.
  bool full() const { return room_.full(); }
  // Units wait to be fetched.
  bool any_waiting() const { return !full() && units_.any_waiting(); }
  // Opens the next of them; nothing when none does.
  std::optional<UnitTable::OpenUnit> open_next();
  // Whether the store has the grain: it came for another pool, say. Its units take note of it.
  bool find_stored(const Digest& digest, uint64_t bytes);
  bool is_stored(const Digest& digest) const { return store_.contains(digest); }
  // Puts a grain into the store, and makes room for it if that helps.
  Status keep(const Digest& digest, ByteSpan bytes);
  // The grain cannot be had: its units are tried again later. Returns what nothing else needs.
  std::vector<Digest> postpone(const Digest& digest);
  // Every further grain would be fetched in vain: nothing more is, for a while.
  void stop(const std::string& reason);
  // The store has lost the grain. Returns the units that were ready until now.
  std::vector<UnitId> grain_lost(const Digest& digest) { return units_.grain_lost(digest); }
  // It was read and is altered, or cannot be read: the store is to forget it as well.
  std::vector<UnitId> distrust(const Digest& digest);
  // The disk cannot be reached: nothing is ready, and nothing is fetched before it is back. What it
  // has is then ready again.
  void store_gone();
  // What is ready was called missing for want of memory: it is reported again after a while.
  void report_again_later();

  void on_tick(const Manifest& manifest);
  // For a member alone, as on_tick().
  std::optional<TimePoint> next_tick() const;
  // Tells the coordinator what has changed, several changes together.
  void report(uint64_t epoch);

  // Whether units are complete, or tried again some time even if nothing is being fetched.
  bool cared_for() const;
  Status validate() const { return units_.validate(store_); }

 private:
  void tell_lack_of_room(uint64_t missing);
  void look_for_room(const Manifest& manifest);
  uint64_t stored_bytes(const Manifest& manifest) const;

  GrainStore& store_;
  const MakeRoom& make_room_;
  uint64_t disk_bytes_;
  CoordinatorLink& link_;
  std::optional<Assignment> early_;
  uint64_t version_ = 0;     // of the assignment in units_; 0: none
  bool any_version_ = true;  // the coordinator may count from the start again
  UnitTable units_;
  RoomOffer room_;
  std::optional<TimePoint> report_again_at_;
  TimePoint reported_at_{0};
};

}  // namespace potluck
