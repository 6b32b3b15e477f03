// What a session does about the grains of its units: an assignment becomes questions, answers
// become files, and what cannot be had or held is tried again later and reported.
#include <algorithm>
#include <ranges>

#include <fmt/format.h>

#include "engine/base/format_bytes.h"
#include "worker/pool_session.h"

namespace potluck {
namespace {

// Failures of one assignment that people read about; the rest would only repeat them.
constexpr uint32_t kFetchNotices = 5;

// Whether the fault is this device's: another worker may hold what this one cannot. (kCorrupt: the
// bytes were wrong. kInvalidArgument: their length was.)
bool is_ours(const Error& error) {
  return error.code != ErrorCode::kCorrupt && error.code != ErrorCode::kInvalidArgument;
}

}  // namespace

void PoolSession::apply(const Assignment& assignment) {
  if (Status valid = check_assignment(assignment, *manifest_); !valid) {
    notice("ignored: " + valid.error().message);
    return;
  }
  any_version_ = false;
  version_ = assignment.version;
  fetch_notices_ = 0;
  full_ = false;
  units_.assign(assignment, *manifest_, context_.store);
  fetcher_.restart([this](MissingGrain* grain) {
    std::optional<UnitId> unit = units_.unit_in_need_of(*grain);
    if (unit) grain->unit = *unit;
    return unit.has_value();
  });
  uint64_t bytes = units_.missing_bytes();
  if (bytes > 0 && !context_.make_room(bytes)) {
    notice(
        fmt::format("{} bytes of experts are assigned and missing, the store has room for {} of "
                    "its {}: give it more with --disk",
                    bytes, context_.store.room_bytes(), context_.store.quota_bytes()));
  }
  context_.memory_changed = true;
  tick_sources();
  request_grains();
  report_residency();
}

// Units are opened one after the other while the fetcher has room for their grains.
void PoolSession::feed_fetcher() {
  if (phase_ != Phase::kMember) return;
  while (!full_ && units_.any_waiting() && fetcher_.hungry()) {
    std::optional<UnitTable::OpenUnit> open = units_.open_next(context_.store);
    if (!open) return;
    if (open->first) std::ranges::reverse(open->missing);
    for (const MissingGrain& grain : open->missing) fetcher_.append(grain, open->first);
    fetcher_.set_holders(open->unit, open->holders);
  }
}

void PoolSession::request_grains() {
  if (phase_ != Phase::kMember) return;
  feed_fetcher();
  if (uses_model_) return;
  while (std::optional<FetchOrder> order = fetcher_.next(now(), window_bytes_)) {
    const MissingGrain& grain = order->grain;
    if (context_.store.contains(grain.digest, grain.bytes)) {  // came for another pool
      fetcher_.forget(grain.digest);
      units_.grain_stored(grain.digest);
      feed_fetcher();
      continue;
    }
    FetchGrain fetch{grain.digest, grain.grain, order->offset, order->length};
    if (order->source == kCoordinatorSource) {
      send(fetch, Channel::kBulk);
    } else {
      const PeerKey& peer = fetcher_.sources().at(order->source).key;
      context_.actions.emplace_back(SendMessage{peer, Channel::kBulk, fetch, {}});
    }
    feed_fetcher();
  }
}

// Whether grains are being fetched, or will be as soon as others have come.
bool PoolSession::fetching() const {
  return !full_ && (fetcher_.wanted() > 0 || units_.any_waiting());
}

void PoolSession::store_grain(SourceId from, const Digest& digest, ByteSpan bytes, bool mixed) {
  Status stored = context_.store.put(digest, bytes);
  if (!stored && stored.error().code == ErrorCode::kLimit && context_.make_room(bytes.size())) {
    stored = context_.store.put(digest, bytes);
  }
  if (stored) {
    fetcher_.stored(digest);
    units_.grain_stored(digest);
    sources_changed_ = true;
    told_sources_ = false;
    if (units_.all_ready() && !room_limited()) room_pause_ = Duration{0};
  } else if (stored.error().code == ErrorCode::kCorrupt && mixed) {
    fetcher_.begin_anew(digest);
  } else if (stored.error().code == ErrorCode::kCorrupt && from != kCoordinatorSource) {
    drop_peer(from, stored.error().message);
  } else if (stored.error().code == ErrorCode::kLimit) {
    stop_fetching(stored.error().message);
  } else {
    grain_failed(digest, stored.error().message, is_ours(stored.error()));
  }
}

// A grain that was tried often enough is tried again with its unit, later and later. If it is this
// device that cannot take it, there is no point in asking for others.
void PoolSession::grain_failed(const Digest& digest, const std::string& reason, bool ours) {
  bool again = fetcher_.failed(digest, now());
  if (++fetch_notices_ <= kFetchNotices) {
    notice(fmt::format("fetching grain {}: {}; {}", digest.hex().substr(0, 12), reason,
                       again ? "asking again" : "given up for a while"));
  }
  if (again) return;
  for (const Digest& unneeded : units_.postpone(digest, now())) fetcher_.forget(unneeded);
  if (ours) stop_fetching(reason);
}

// Every further grain would be fetched in vain. The coordinator learns what fits, so that the rest
// goes elsewhere; later there may be room again.
void PoolSession::stop_fetching(const std::string& reason) {
  fetcher_.clear();
  units_.close_all();
  full_ = true;
  room_pause_ = std::clamp(2 * room_pause_, UnitTable::kFirstRetry, UnitTable::kLongestRetry);
  look_for_room_at_ = now() + room_pause_;
  if (room_bytes_ == Residency::kAnyRoom) {
    notice(fmt::format("no room for more experts, {} of {} units are ready: {}",
                       units_.ready_count(), units_.assigned_count(), reason));
  }
  offer_room(units_.ready_bytes());
}

void PoolSession::offer_room(uint64_t bytes) {
  if (bytes == room_bytes_) return;
  room_bytes_ = bytes;
  room_changed_ = true;
}

bool PoolSession::room_limited() const {
  return full_ || room_bytes_ != Residency::kAnyRoom;
}

// Room that is worth a new assignment: an expert, and a part of what is held.
void PoolSession::look_for_room() {
  if (!room_limited() || now() < look_for_room_at_) return;
  uint64_t held = units_.ready_bytes();
  uint64_t wanted = std::max<uint64_t>(largest_expert_bytes(), held / 16);
  bool found = context_.make_room(wanted);
  if (!found) room_pause_ = std::min(2 * room_pause_, UnitTable::kLongestRetry);
  look_for_room_at_ = now() + room_pause_;
  if (!found) return;
  full_ = false;
  // The manifest is part of what Hello said, and what is no longer needed makes room.
  uint64_t room = stored_bytes() + context_.store.room_bytes() + context_.store.other_bytes();
  if (room >= context_.options.disk_bytes) {
    offer_room(Residency::kAnyRoom);
  } else if (room > room_bytes_ && room - room_bytes_ >= wanted) {
    offer_room(room);
  }
}

// Of this model's grains, whether or not they are assigned.
uint64_t PoolSession::stored_bytes() const {
  uint64_t bytes = 0;
  for (const ManifestLayer& layer : manifest_->layers()) {
    for (size_t i = 0; i < layer.grains.size(); ++i) {
      if (!context_.store.contains(layer.grains[i])) continue;
      auto grain = static_cast<uint32_t>(i % layer.plan.grains);
      bytes += grain_layout(layer.shape, layer.plan, grain).bytes;
    }
  }
  return bytes;
}

uint64_t PoolSession::largest_expert_bytes() const {
  uint64_t largest = 0;
  for (const ManifestLayer& layer : manifest_->layers()) {
    largest = std::max(largest, expert_bytes(layer.shape, layer.plan));
  }
  return largest;
}

void PoolSession::on_grain_lost(const Digest& digest, const std::string& finding) {
  if (manifest_ == nullptr || units_.grain_lost(digest).empty()) return;
  if (!finding.empty()) notice(finding + "; fetching it again");
  request_grains();
  report_residency();
}

Status PoolSession::validate() const {
  if (phase_ != Phase::kMember || manifest_ == nullptr) return {};
  if (Status units = units_.validate(context_.store); !units) return units;
  if (Status fetcher = fetcher_.validate(); !fetcher) return fetcher;
  bool due = units_.all_ready() || fetching() || units_.next_tick() || room_limited();
  if (due) return {};
  return Error{ErrorCode::kInvalidArgument, "units are missing and nothing is done about it"};
}

}  // namespace potluck
