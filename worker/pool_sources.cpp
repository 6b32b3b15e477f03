// Where a session's grains come from besides the coordinator: other workers of the pool, and a
// model file of this device; and the account of all of it.
#include <algorithm>

#include <fmt/format.h>

#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "worker/pool_session.h"

namespace potluck {

// --- other workers ---

void PoolSession::on_roster(const Roster& roster) {
  if (!welcome_ || roster.epoch != welcome_->epoch) {
    of_this_epoch(roster.epoch);
    return;
  }
  roster_ = roster;
  fetcher_.set_roster(roster_.peers);
  context_.peers_changed = true;
  tick_sources();
  request_grains();
}

// Indices into the roster become sources; those of another roster are of no use.
void PoolSession::resolve_holders(Assignment* assignment) const {
  bool known = welcome_ && assignment->epoch == welcome_->epoch &&
               assignment->roster == roster_.version &&
               assignment->holders.size() == assignment->units.size();
  if (!known) assignment->holders.clear();
  for (std::vector<uint16_t>& holders : assignment->holders) {
    std::vector<SourceId> sources;
    for (uint16_t index : holders) {
      if (index >= roster_.peers.size()) continue;
      std::optional<SourceId> source = fetcher_.sources().find(roster_.peers[index].key);
      if (source) sources.push_back(*source);
    }
    holders = std::move(sources);
  }
}

void PoolSession::on_peer_data(const PeerKey& peer, const BulkData& data, ByteSpan part) {
  std::optional<SourceId> source = fetcher_.sources().find(peer);
  if (source) on_bulk_data(*source, data, part);
}

void PoolSession::on_peer_connected(const PeerKey& peer) {
  std::optional<SourceId> source = fetcher_.sources().find(peer);
  if (!source) return;
  fetcher_.on_connected(*source);
  request_grains();
}

void PoolSession::on_peer_refused(const PeerKey& peer) {
  std::optional<SourceId> source = fetcher_.sources().find(peer);
  if (!source) return;
  fetcher_.on_refused(*source, now());
  context_.peers_changed = true;
  request_grains();
}

void PoolSession::on_peer_lost(const PeerKey& peer) {
  std::optional<SourceId> source = fetcher_.sources().find(peer);
  if (!source) return;
  fetcher_.on_lost(*source, now());
  context_.peers_changed = true;
  tick_sources();
  request_grains();
}

bool PoolSession::is_connecting(const PeerKey& peer) const {
  std::optional<SourceId> source = fetcher_.sources().find(peer);
  return source && fetcher_.sources().at(*source).link == FetchSource::Link::kConnecting;
}

bool PoolSession::has_peer(const PeerKey& peer) const {
  return std::any_of(roster_.peers.begin(), roster_.peers.end(),
                     [&](const RosterPeer& listed) { return listed.key == peer; });
}

void PoolSession::collect_peers(std::map<PeerKey, std::string>* connections,
                                std::set<PeerKey>* admitted) const {
  for (const RosterPeer& peer : roster_.peers) {
    admitted->insert(peer.key);
    std::optional<SourceId> id = fetcher_.sources().find(peer.key);
    if (!id) continue;
    const FetchSource& source = fetcher_.sources().at(*id);
    if (source.link != FetchSource::Link::kIdle) connections->emplace(peer.key, source.endpoint);
  }
}

// Its bytes were not those of the grain: it is not asked again as long as this session lives.
void PoolSession::drop_peer(SourceId id, const std::string& reason) {
  const FetchSource& source = fetcher_.sources().at(id);
  if (!source.dropped) {
    notice(fmt::format("{} ({}) sent wrong bytes and is not asked again: {}", source.name,
                       source.key.brief(), reason));
  }
  fetcher_.drop(id);
  context_.peers_changed = true;
  report_sources(true);
}

void PoolSession::tick_sources() {
  feed_fetcher();
  if (fetcher_.on_tick(now())) context_.peers_changed = true;
  cut_from_model();
  report_sources(false);
}

// --- a model file of this device ---

void PoolSession::check_model() {
  cut_ = {};
  if (context_.options.model == nullptr) return;
  uses_model_ = true;
  if (Status same = context_.options.model->compare(*manifest_); !same) {
    refuse_model(same.error().message);
  }
}

void PoolSession::refuse_model(const std::string& reason) {
  uses_model_ = false;
  cut_ = {};
  notice(fmt::format("{}: another model or quantization than {}; fetching instead", reason,
                     manifest_->model_name()));
}

bool PoolSession::cuts_from_model() const {
  if (!uses_model_ || phase_ != Phase::kMember) return false;
  if (!cut_.bytes.empty() || fetcher_.first_queued()) return true;
  return !full_ && units_.any_waiting() && fetcher_.hungry();
}

// One grain a turn: between two of them work that has come is done. An expert is cut at once, for
// that reads each of its tensors only once.
void PoolSession::cut_from_model() {
  if (!cuts_from_model()) return;
  if (cut_.bytes.empty()) cut_next_expert();
  while (!cut_.bytes.empty()) {
    ByteSpan grain = ByteSpan(cut_.bytes).subspan(cut_.offset, manifest_->grain_bytes(cut_.next));
    const Digest& digest = manifest_->digest_of(cut_.next);
    // Also for a unit whose turn has not come: its expert is at hand now.
    MissingGrain missing{digest, cut_.next, grain.size(), {}};
    bool wanted = !context_.store.contains(digest) && !full_ &&
                  (fetcher_.wants(digest) || units_.unit_in_need_of(missing));
    if (wanted && !store_cut(digest, grain)) return;
    ++cut_.next.grain;
    cut_.offset += grain.size();
    if (cut_.offset == cut_.bytes.size()) cut_ = {};
    if (wanted) return;
  }
}

void PoolSession::cut_next_expert() {
  std::optional<MissingGrain> first = fetcher_.first_queued();
  if (!first) return;
  const GrainCutter& cutter = context_.options.model->cutter();
  cut_.next = {first->grain.layer, first->grain.expert, 0};
  cut_.offset = 0;
  cut_.bytes.resize(cutter.expert_bytes(cut_.next.layer));
  Status cut = cutter.cut_expert(cut_.next.layer, cut_.next.expert, cut_.bytes);
  if (!cut) refuse_model(cut.error().message);
}

// False if the file turned out to be another one.
bool PoolSession::store_cut(const Digest& digest, ByteSpan grain) {
  if (sha256(grain) != digest) {
    refuse_model(fmt::format("{}: layer {}, expert {} has other weights",
                             context_.options.model->path(), cut_.next.layer, cut_.next.expert));
    return false;
  }
  store_grain(kCoordinatorSource, digest, grain, false);
  if (context_.store.contains(digest)) file_bytes_ += grain.size();
  return true;
}

// --- the account ---

SourceBytes PoolSession::source_bytes() const {
  SourceBytes bytes;
  bytes.file = file_bytes_;
  const FetchSources& sources = fetcher_.sources();
  bytes.coordinator = sources.at(kCoordinatorSource).bytes;
  for (SourceId id = 1; id < sources.size(); ++id) {
    if (sources.at(id).bytes > 0) bytes.peers[sources.at(id).name] += sources.at(id).bytes;
  }
  return bytes;
}

void PoolSession::report_sources(bool at_once) {
  if (phase_ != Phase::kMember) return;
  bool done = !fetching();
  if (done && !told_sources_) tell_sources();
  if (!sources_changed_ && !at_once) return;
  if (!done && !at_once && now() < sources_reported_at_ + kSourcesInterval) return;
  sources_changed_ = false;
  sources_reported_at_ = now();
  const FetchSources& sources = fetcher_.sources();
  SourceReport report;
  report.epoch = welcome_->epoch;
  report.coordinator_bytes = sources.at(kCoordinatorSource).bytes;
  report.file_bytes = file_bytes_;
  for (SourceId id = 1; id < sources.size(); ++id) {
    const FetchSource& source = sources.at(id);
    if (source.bytes == 0 && !source.dropped) continue;
    report.peers.push_back({source.key, source.bytes, source.dropped});
  }
  bool nothing = report.coordinator_bytes == 0 && report.file_bytes == 0 && report.peers.empty();
  if (!nothing) send(std::move(report));
}

void PoolSession::tell_sources() {
  told_sources_ = true;
  SourceBytes bytes = source_bytes();
  uint64_t total = bytes.coordinator + bytes.file;
  std::string parts;
  auto add = [&](uint64_t count, const std::string& name) {
    if (count == 0) return;
    parts += fmt::format("{}{} from {}", parts.empty() ? "" : ", ", format_bytes(count), name);
  };
  add(bytes.file, "the model file here");
  for (const auto& [name, count] : bytes.peers) {
    add(count, name);
    total += count;
  }
  add(bytes.coordinator, "the coordinator");
  notice(fmt::format("fetched {}: {}", format_bytes(total), parts));
}

}  // namespace potluck
