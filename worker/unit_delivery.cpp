#include "worker/unit_delivery.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace potluck {
namespace {

// Ready units are reported together: a store that fills sends a few messages a second.
constexpr Duration kReportInterval = std::chrono::milliseconds(50);
// What failed for want of memory or descriptors is offered again after a while.
constexpr Duration kOwnTrouble = std::chrono::seconds(5);
// Holders are a hint. Before the manifest is there nothing tells how many units there can be.
constexpr size_t kEarlyHolders = 64 * 1024;

uint64_t largest_expert_bytes(const Manifest& manifest) {
  uint64_t largest = 0;
  for (const ManifestLayer& layer : manifest.layers()) {
    largest = std::max(largest, expert_bytes(layer.shape, layer.plan));
  }
  return largest;
}

}  // namespace

void UnitDelivery::keep_early(Assignment assignment) {
  if (assignment.units.size() > kEarlyHolders) assignment.holders = {};
  // An earlier version of the same epoch may arrive later, on another connection.
  bool newer =
      !early_ || early_->epoch != assignment.epoch || early_->version <= assignment.version;
  if (newer) early_ = std::move(assignment);
}

bool UnitDelivery::assign(const Assignment& assignment, const Manifest& manifest) {
  if (!any_version_ && assignment.version < version_) return false;
  if (Status valid = check_assignment(assignment, manifest); !valid) {
    link_.notice(LogLevel::kWarning, "ignored: " + valid.error().message,
                 {{"reason", valid.error().message}});
    return false;
  }
  any_version_ = false;
  version_ = assignment.version;
  room_.try_again();
  units_.assign(assignment, manifest, store_);
  if (store_.gone()) {  // what it has counts for nothing now
    units_.lose_all();
    room_.stop_while_away(link_.now());
    return true;
  }
  uint64_t missing = units_.missing_bytes();
  if (missing > 0 && !make_room_(missing)) tell_lack_of_room(missing);
  return true;
}

void UnitDelivery::tell_lack_of_room(uint64_t missing) {
  const bool written = store_.writes().allowance() < missing;
  link_.notice(LogLevel::kWarning,
               fmt::format("{} bytes of experts are assigned and missing, the store has room for "
                           "{} ({}): give it more with {}",
                           missing, store_.room_bytes(), store_.what_limits_room(),
                           written ? "--max-writes-per-day" : "--disk"),
               {{"missing_bytes", missing},
                {"room_bytes", store_.room_bytes()},
                {"quota_bytes", store_.quota_bytes()}});
}

void UnitDelivery::on_welcome(bool same) {
  // Versions are compared within one life of the coordinator only: the next one counts from the
  // start.
  any_version_ = true;
  if (!same) {
    units_.clear();
    version_ = 0;
    room_.reset();
  }
  room_.tell_again();
}

std::optional<Assignment> UnitDelivery::become_member(uint64_t epoch) {
  units_.report_again();
  std::optional<Assignment> early = std::exchange(early_, std::nullopt);
  if (early && early->epoch != epoch) early.reset();
  return early;
}

std::optional<UnitTable::OpenUnit> UnitDelivery::open_next() {
  return any_waiting() ? units_.open_next(store_) : std::nullopt;
}

bool UnitDelivery::find_stored(const Digest& digest, uint64_t bytes) {
  if (!store_.contains(digest, bytes)) return false;
  units_.grain_stored(digest);
  return true;
}

Status UnitDelivery::keep(const Digest& digest, ByteSpan bytes) {
  Status stored = store_.put(digest, bytes);
  // Grains that no pool needs any more stay until their room is wanted.
  if (!stored && stored.error().code == ErrorCode::kLimit && make_room_(bytes.size())) {
    stored = store_.put(digest, bytes);
  }
  if (!stored && stored.error().code == ErrorCode::kIo) (void)store_.reachable();
  if (!stored) return stored;
  units_.grain_stored(digest);
  if (units_.all_ready()) room_.enough();
  return {};
}

std::vector<Digest> UnitDelivery::postpone(const Digest& digest) {
  return units_.postpone(digest, link_.now());
}

// The coordinator learns what fits, so that the rest goes elsewhere; later there may be room again.
void UnitDelivery::stop(const std::string& reason) {
  units_.close_all();
  room_.stop(link_.now());
  if (room_.bytes() == Residency::kAnyRoom) {
    link_.notice(LogLevel::kWarning,
                 fmt::format("no room for more experts, {} of {} units are ready: {}",
                             units_.ready_count(), units_.assigned_count(), reason),
                 {{"units_ready", units_.ready_count()},
                  {"units", units_.assigned_count()},
                  {"reason", reason}});
  }
  room_.offer(units_.ready_bytes());
}

std::vector<UnitId> UnitDelivery::distrust(const Digest& digest) {
  store_.distrust(digest);  // one that cannot be read is written anew elsewhere
  return units_.grain_lost(digest);
}

void UnitDelivery::store_gone() {
  const size_t ready = units_.ready_count();
  units_.lose_all();
  room_.stop_while_away(link_.now());
  room_.offer(0);
  if (ready == 0) return;
  link_.notice(LogLevel::kWarning,
               fmt::format("the disk with the store cannot be reached: {} units are lost until it "
                           "is back",
                           ready),
               {{"units_lost", ready}});
}

void UnitDelivery::report_again_later() {
  report_again_at_ = link_.now() + kOwnTrouble;
}

void UnitDelivery::on_tick(const Manifest& manifest) {
  if (report_again_at_ && link_.now() >= *report_again_at_) {
    report_again_at_.reset();
    units_.report_again();
  }
  units_.on_tick(link_.now());
  look_for_room(manifest);
}

std::optional<TimePoint> UnitDelivery::next_tick() const {
  std::optional<TimePoint> next;
  auto due = [&next](std::optional<TimePoint> at) {
    if (at) next = next ? std::min(*next, *at) : *at;
  };
  due(units_.next_tick());
  due(room_.next_look());
  due(report_again_at_);
  if (units_.report_due()) due(reported_at_ + kReportInterval);
  if (room_.changed()) due(link_.now());
  return next;
}

void UnitDelivery::report(uint64_t epoch) {
  auto anything_new = [this] { return units_.report_due() || room_.changed(); };
  if (!anything_new()) return;
  // At once: losses, since work for those units would be refused; and the last unit, since a user
  // may wait for all of them.
  bool at_once = units_.all_ready() || units_.loss_unreported() || room_.changed();
  if (!at_once && link_.now() < reported_at_ + kReportInterval) return;
  reported_at_ = link_.now();
  // In pieces: a report names a bounded number of units.
  while (anything_new()) {
    Residency report;
    report.epoch = epoch;
    report.version = version_;
    report.room_bytes = room_.bytes();
    if (room_.bytes() != Residency::kAnyRoom) report.text = store_.what_limits_room();
    units_.take_report(&report);
    bool news = room_.take_changed();
    if (news || !report.ready.empty() || !report.lost.empty()) link_.send(std::move(report));
  }
}

// Room that is worth a new assignment: an expert, and a part of what is held.
void UnitDelivery::look_for_room(const Manifest& manifest) {
  std::optional<TimePoint> due = room_.next_look();
  if (!due || link_.now() < *due) return;
  uint64_t held = units_.ready_bytes();
  uint64_t wanted = std::max<uint64_t>(largest_expert_bytes(manifest), held / 16);
  bool found = make_room_(wanted);
  room_.looked(found, link_.now());
  if (!found) return;
  // The manifest is part of what Hello said, and what is no longer needed makes room.
  uint64_t room = stored_bytes(manifest) + store_.room_bytes() + store_.other_bytes();
  if (room >= disk_bytes_) {
    room_.offer(Residency::kAnyRoom);
  } else if (room > room_.bytes() && room - room_.bytes() >= wanted) {
    room_.offer(room);
  }
}

// Of this model's grains, whether or not they are assigned.
uint64_t UnitDelivery::stored_bytes(const Manifest& manifest) const {
  uint64_t bytes = 0;
  for (const ManifestLayer& layer : manifest.layers()) {
    for (size_t i = 0; i < layer.grains.size(); ++i) {
      if (!store_.contains(layer.grains[i])) continue;
      auto grain = static_cast<uint32_t>(i % layer.plan.grains);
      bytes += grain_layout(layer.shape, layer.plan, grain).bytes;
    }
  }
  return bytes;
}

bool UnitDelivery::cared_for() const {
  return units_.all_ready() || units_.next_tick() || room_.limited();
}

}  // namespace potluck
