#include "worker/fetch_sources.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/limits.h"

namespace potluck {

using Link = FetchSource::Link;

FetchSources::FetchSources() : sources_(1) {
  sources_[kCoordinatorSource].listed = true;
  sources_[kCoordinatorSource].link = Link::kConnected;
  sources_[kCoordinatorSource].name = "the coordinator";
}

std::vector<SourceId> FetchSources::set_roster(const std::vector<RosterPeer>& peers) {
  std::vector<bool> before(sources_.size());
  for (SourceId id = 1; id < sources_.size(); ++id) {
    before[id] = sources_[id].listed;
    sources_[id].listed = false;
  }
  for (const RosterPeer& peer : peers) {
    auto [known, fresh] = ids_.try_emplace(peer.key, static_cast<SourceId>(sources_.size()));
    if (fresh && sources_.size() > limits::kSourcesPerReport) {
      ids_.erase(known);  // so many have come and gone: the others will do
      continue;
    }
    if (fresh) sources_.emplace_back();
    FetchSource& source = sources_[known->second];
    source.key = peer.key;
    source.listed = true;
    source.name = peer.name.empty() ? peer.key.brief() : peer.name;
    if (source.endpoint != peer.bulk_endpoint) source.failures = 0;
    source.endpoint = peer.bulk_endpoint;
  }
  std::vector<SourceId> gone;
  for (SourceId id = 1; id < before.size(); ++id) {
    if (before[id] && !sources_[id].listed) gone.push_back(id);
  }
  return gone;
}

std::optional<SourceId> FetchSources::find(const PeerKey& key) const {
  auto found = ids_.find(key);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

bool FetchSources::wanted(const FetchSource& source) {
  return source.units > 0 && source.listed && !source.dropped && !source.endpoint.empty();
}

// Each has a part of the window, so that one of several holders is not asked for everything.
bool FetchSources::room(SourceId id, uint64_t bytes, uint64_t window_bytes) const {
  const FetchSource& source = sources_[id];
  if (source.under_way.size() >= kWindowGrains || source.window.room() == 0) return false;
  auto fits = [bytes](uint64_t taken, uint64_t window) {
    return taken == 0 || (taken <= window && bytes <= window - taken);
  };
  auto connected = static_cast<uint64_t>(std::count_if(
      sources_.begin() + 1, sources_.end(),
      [](const FetchSource& other) { return other.link == Link::kConnected && wanted(other); }));
  uint64_t share = window_bytes / std::clamp<uint64_t>(connected, 1, kWindowGrains);
  return fits(source.under_way_bytes, share) && fits(under_way_bytes_, window_bytes);
}

bool FetchSources::any_room(uint64_t window_bytes) const {
  for (SourceId id = 0; id < sources_.size(); ++id) {
    if (sources_[id].link == Link::kConnected && room(id, 1, window_bytes)) return true;
  }
  return false;
}

std::optional<SourceId> FetchSources::choose(std::span<const SourceId> holders, uint64_t bytes,
                                             uint64_t window_bytes) const {
  std::optional<SourceId> best;
  bool hope = false;
  for (SourceId id : holders) {
    const FetchSource& source = sources_[id];
    if (!wanted(source)) continue;
    if (source.link != Link::kConnected) {
      // About to be connected for the first time; one that failed before is not waited for.
      hope = hope || source.failures == 0;
      continue;
    }
    hope = true;
    if (!room(id, bytes, window_bytes)) continue;
    if (!best || source.under_way_bytes < sources_[*best].under_way_bytes) best = id;
  }
  if (best || hope) return best;
  if (!room(kCoordinatorSource, bytes, window_bytes)) return std::nullopt;
  return kCoordinatorSource;
}

void FetchSources::take(SourceId id, const Digest& digest, uint64_t bytes, TimePoint now) {
  FetchSource& source = sources_[id];
  source.under_way.push_back({digest, bytes, now});
  source.under_way_bytes += bytes;
  ++under_way_;
  under_way_bytes_ += bytes;
}

void FetchSources::release(SourceId id, const Digest& digest, uint64_t bytes) {
  FetchSource& source = sources_[id];
  auto entry = std::find_if(source.under_way.begin(), source.under_way.end(),
                            [&](const auto& grain) { return grain.digest == digest; });
  CHECK(entry != source.under_way.end());
  source.under_way.erase(entry);
  source.under_way_bytes -= bytes;
  --under_way_;
  under_way_bytes_ -= bytes;
}

void FetchSources::on_connected(SourceId id) {
  if (sources_[id].link != Link::kConnecting) return;
  sources_[id].link = Link::kConnected;
  sources_[id].trying = false;
}

void FetchSources::on_refused(SourceId id, TimePoint now) {
  FetchSource& source = sources_[id];
  if (source.link != Link::kConnecting) return;
  source.link = Link::kIdle;
  source.not_before = now + kRefusedPause;
}

void FetchSources::pause(SourceId id, TimePoint now) {
  FetchSource& source = sources_[id];
  source.link = Link::kIdle;
  source.trying = false;
  Duration pause = kFirstPause * (int64_t{1} << std::min<uint32_t>(source.failures, 7));
  source.not_before = now + std::min(pause, kLongestPause);
  ++source.failures;
}

void FetchSources::drop(SourceId id) {
  sources_[id].dropped = true;
}

bool FetchSources::update_links(TimePoint now) {
  bool changed = false;
  for (SourceId id = 1; id < sources_.size(); ++id) {
    FetchSource& source = sources_[id];
    Link before = source.link;
    if (source.trying && now - source.connecting_since >= kPatience) pause(id, now);
    if (!wanted(source)) {
      source.link = Link::kIdle;
      source.trying = false;
    } else if (source.link == Link::kIdle && now >= source.not_before) {
      source.link = Link::kConnecting;
      if (!source.trying) source.connecting_since = now;
      source.trying = true;
    }
    changed = changed || source.link != before;
  }
  return changed;
}

TimePoint FetchSources::overdue_at(SourceId id, const FetchSource& source) {
  TimePoint at = source.window.overdue_at();
  if (id == kCoordinatorSource) return at;  // there is nobody behind it
  const FetchSource::UnderWay& oldest = source.under_way.front();
  Duration slowest = kSlowest + std::chrono::seconds(oldest.bytes / kLeastBytesPerSecond);
  return std::min(at, oldest.asked_at + slowest);
}

std::vector<SourceId> FetchSources::overdue(TimePoint now) const {
  std::vector<SourceId> late;
  for (SourceId id = 0; id < sources_.size(); ++id) {
    const FetchSource& source = sources_[id];
    if (!source.under_way.empty() && now >= overdue_at(id, source)) late.push_back(id);
  }
  return late;
}

std::optional<TimePoint> FetchSources::next_tick() const {
  TimePoint next = TimePoint::max();
  for (SourceId id = 0; id < sources_.size(); ++id) {
    const FetchSource& source = sources_[id];
    if (!source.under_way.empty()) next = std::min(next, overdue_at(id, source));
    if (id == kCoordinatorSource || !wanted(source)) continue;
    if (source.trying) next = std::min(next, source.connecting_since + kPatience);
    if (source.link == Link::kIdle) next = std::min(next, source.not_before);
  }
  if (next == TimePoint::max()) return std::nullopt;
  return next;
}

void FetchSources::excuse_silence(TimePoint now) {
  for (FetchSource& source : sources_) source.window.excuse_silence(now);
}

}  // namespace potluck
