// Sources keep their place in the list for good, also those that have left: holders are named by
// it. Every way in which a connection ends goes through end_link(), so that nothing stays under way
// at a source that will not send it.
#include "worker/fetch_sources.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"

namespace potluck {

using Link = FetchSource::Link;

FetchSources::FetchSources() : sources_(1) {
  sources_[kCoordinatorSource].listed = true;
  sources_[kCoordinatorSource].link = Link::kConnected;
  sources_[kCoordinatorSource].name = "the coordinator";
}

void FetchSources::set_roster(const std::vector<RosterPeer>& peers) {
  for (FetchSource& source : sources_) source.listed = false;
  sources_[kCoordinatorSource].listed = true;
  for (const RosterPeer& peer : peers) {
    auto [known, fresh] = ids_.try_emplace(peer.key, size());
    if (fresh && sources_.size() > limits::kSourcesPerReport) {
      ids_.erase(known);  // so many have come and gone: the others will do
      continue;
    }
    if (fresh) sources_.emplace_back();
    SourceId id = known->second;
    FetchSource& source = sources_[id];
    source.key = peer.key;
    source.listed = true;
    source.name = peer.name.empty() ? peer.key.brief() : peer.name;
    if (source.endpoint == peer.bulk_endpoint) continue;
    // Failures at the old address say nothing about the new one.
    source.failures = 0;
    source.endpoint = peer.bulk_endpoint;
    end_link(id);
  }
  for (SourceId id = 1; id < size(); ++id) {
    if (!sources_[id].listed) end_link(id);
  }
}

std::optional<SourceId> FetchSources::find(const PeerKey& key) const {
  auto found = ids_.find(key);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

bool FetchSources::needed(const FetchSource& source) {
  bool may_be_asked = source.listed && !source.dropped && !source.endpoint.empty();
  // Also while something is under way: it may still send that, although it is asked for nothing
  // more.
  return may_be_asked && (source.units > 0 || !source.under_way.empty());
}

void FetchSources::delivered(SourceId id, uint64_t bytes) {
  sources_.at(id).bytes += bytes;
  sources_.at(id).failures = 0;
}

uint64_t FetchSources::share_of(uint64_t window_bytes) const {
  auto connected = static_cast<uint64_t>(std::count_if(
      sources_.begin() + 1, sources_.end(),
      [](const FetchSource& other) { return other.link == Link::kConnected && needed(other); }));
  return window_bytes / std::clamp<uint64_t>(connected, 1, kWindowGrains);
}

bool FetchSources::room(SourceId id, uint64_t bytes, uint64_t window_bytes, uint64_t share) const {
  const FetchSource& source = sources_[id];
  if (source.under_way.size() >= kWindowGrains || source.window.room() == 0) return false;
  // One grain always fits an empty window: a grain larger than its share could never be fetched
  // otherwise.
  auto fits = [bytes](uint64_t taken, uint64_t window) {
    return taken == 0 || (taken <= window && bytes <= window - taken);
  };
  return fits(source.under_way_bytes, share) && fits(under_way_bytes_, window_bytes);
}

bool FetchSources::any_room(uint64_t window_bytes, uint64_t share) const {
  for (SourceId id = 0; id < size(); ++id) {
    if (sources_[id].link == Link::kConnected && room(id, 1, window_bytes, share)) return true;
  }
  return false;
}

std::optional<SourceId> FetchSources::choose(std::span<const SourceId> holders, uint64_t bytes,
                                             uint64_t window_bytes, uint64_t share) const {
  std::optional<SourceId> best;
  // The coordinator's link serves all workers, so it is the last to be asked: only when no holder
  // is connected and none is about to be.
  bool hope = false;
  for (SourceId id : holders) {
    const FetchSource& source = sources_[id];
    if (!needed(source)) continue;
    if (source.link != Link::kConnected) {
      // About to be connected for the first time; one that failed before is not waited for.
      hope = hope || source.failures == 0;
      continue;
    }
    hope = true;
    if (!room(id, bytes, window_bytes, share)) continue;
    if (!best || source.under_way_bytes < sources_[*best].under_way_bytes) best = id;
  }
  if (best || hope) return best;
  if (!room(kCoordinatorSource, bytes, window_bytes, share)) return std::nullopt;
  return kCoordinatorSource;
}

void FetchSources::take(SourceId id, const Digest& digest, uint64_t bytes, TimePoint now) {
  FetchSource& source = sources_[id];
  source.under_way.push_back({digest, bytes, now});
  source.under_way_bytes += bytes;
  ++under_way_;
  under_way_bytes_ += bytes;
}

void FetchSources::release(SourceId id, const Digest& digest) {
  FetchSource& source = sources_[id];
  auto entry = std::find_if(source.under_way.begin(), source.under_way.end(),
                            [&](const auto& grain) { return grain.digest == digest; });
  CHECK(entry != source.under_way.end());
  source.under_way_bytes -= entry->bytes;
  --under_way_;
  under_way_bytes_ -= entry->bytes;
  source.under_way.erase(entry);
}

void FetchSources::return_all(SourceId id) {
  FetchSource& source = sources_[id];
  for (const FetchSource::UnderWay& grain : source.under_way) returned_.push_back(grain.digest);
  under_way_ -= source.under_way.size();
  under_way_bytes_ -= source.under_way_bytes;
  source.under_way.clear();
  source.under_way_bytes = 0;
  source.window.reset();
}

// The only way from kConnected to kIdle.
void FetchSources::end_link(SourceId id) {
  return_all(id);
  sources_[id].link = Link::kIdle;
  sources_[id].trying = false;
}

void FetchSources::on_connected(SourceId id) {
  if (sources_[id].link != Link::kConnecting) return;
  sources_[id].link = Link::kConnected;
  sources_[id].trying = false;
}

void FetchSources::on_refused(SourceId id, TimePoint now) {
  FetchSource& source = sources_[id];
  if (source.link == Link::kConnected) {  // it was let in before, and then not any more
    pause(id, now);
  } else if (source.link == Link::kConnecting) {
    source.link = Link::kIdle;  // but still trying
    source.not_before = now + kRefusedPause;
  }
}

void FetchSources::pause(SourceId id, TimePoint now) {
  end_link(id);
  FetchSource& source = sources_[id];
  Duration pause = kFirstPause * (int64_t{1} << std::min<uint32_t>(source.failures, 7));
  source.not_before = now + std::min(pause, kLongestPause);
  ++source.failures;
}

void FetchSources::drop(SourceId id) {
  sources_[id].dropped = true;
  end_link(id);
}

bool FetchSources::update_links(TimePoint now) {
  bool changed = false;
  for (SourceId id = 1; id < size(); ++id) {
    FetchSource& source = sources_[id];
    Link before = source.link;
    if (source.trying && now - source.connecting_since >= kPatience) pause(id, now);
    if (!needed(source)) {
      end_link(id);
    } else if (source.link == Link::kIdle && now >= source.not_before) {
      source.link = Link::kConnecting;
      // A connection that was refused and is tried again counts from its first attempt, or patience
      // would never end.
      if (!source.trying) source.connecting_since = now;
      source.trying = true;
    }
    changed = changed || source.link != before;
  }
  return changed;
}

// Also parts of grains that are not wanted any more: as long as they are counted, fewer others are
// asked for.
bool FetchSources::owes(const FetchSource& source) {
  return !source.under_way.empty() || !source.window.idle();
}

TimePoint FetchSources::overdue_at(SourceId id, const FetchSource& source) {
  TimePoint at = source.window.overdue_at();
  // Behind the coordinator there is no other source.
  if (id == kCoordinatorSource || source.under_way.empty()) return at;
  const FetchSource::UnderWay& oldest = source.under_way.front();
  Duration slowest = kSlowest + std::chrono::seconds(oldest.bytes / kLeastBytesPerSecond);
  return std::min(at, oldest.asked_at + slowest);
}

std::vector<SourceId> FetchSources::overdue(TimePoint now) const {
  std::vector<SourceId> late;
  for (SourceId id = 0; id < size(); ++id) {
    const FetchSource& source = sources_[id];
    if (owes(source) && now >= overdue_at(id, source)) late.push_back(id);
  }
  return late;
}

std::optional<TimePoint> FetchSources::next_tick() const {
  TimePoint next = TimePoint::max();
  for (SourceId id = 0; id < size(); ++id) {
    const FetchSource& source = sources_[id];
    if (owes(source)) next = std::min(next, overdue_at(id, source));
    if (id == kCoordinatorSource || !needed(source)) continue;
    if (source.trying) next = std::min(next, source.connecting_since + kPatience);
    if (source.link == Link::kIdle) next = std::min(next, source.not_before);
  }
  if (next == TimePoint::max()) return std::nullopt;
  return next;
}

void FetchSources::excuse_silence(TimePoint now) {
  for (FetchSource& source : sources_) source.window.excuse_silence(now);
}

Status FetchSources::validate() const {
  auto wrong = [](const FetchSource& source, const char* what) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("source {}: {}", source.name, what)};
  };
  size_t grains = 0;
  uint64_t bytes = 0;
  std::optional<TimePoint> next = next_tick();
  for (SourceId id = 0; id < size(); ++id) {
    const FetchSource& source = sources_[id];
    uint64_t own = 0;
    for (const FetchSource::UnderWay& grain : source.under_way) own += grain.bytes;
    if (own != source.under_way_bytes) return wrong(source, "its bytes under way are miscounted");
    grains += source.under_way.size();
    bytes += own;
    if (source.trying && source.link == Link::kConnected) return wrong(source, "connected, trying");
    if (Status window = source.window.validate(); !window) return window;
    if (!owes(source)) continue;
    if (source.link != Link::kConnected) return wrong(source, "under way without a connection");
    if (!next || *next > overdue_at(id, source)) return wrong(source, "under way and never due");
    if (source.under_way.empty()) continue;
    if (source.window.idle()) return wrong(source, "under way, and no part of it was asked for");
    if (id != kCoordinatorSource && !needed(source)) return wrong(source, "asked, but not to be");
  }
  if (grains == under_way_ && bytes == under_way_bytes_ && returned_.empty()) return {};
  return Error{ErrorCode::kInvalidArgument, "what is under way is miscounted"};
}

}  // namespace potluck
