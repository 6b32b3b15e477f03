#include "worker/pool_sources.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include <fmt/format.h>

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

// --- other workers ---

void PoolSources::set_roster(const Roster& roster) {
  roster_ = roster;
  fetcher_.set_roster(roster_.peers);
  links_changed_ = true;
}

std::optional<SourceId> PoolSources::find(const PeerKey& peer) const {
  return fetcher_.sources().find(peer);
}

bool PoolSources::has_peer(const PeerKey& peer) const {
  return std::any_of(roster_.peers.begin(), roster_.peers.end(),
                     [&](const RosterPeer& listed) { return listed.key == peer; });
}

bool PoolSources::is_connecting(const PeerKey& peer) const {
  std::optional<SourceId> source = find(peer);
  return source && fetcher_.sources().at(*source).link == FetchSource::Link::kConnecting;
}

void PoolSources::collect_peers(std::map<PeerKey, std::string>* connections,
                                std::set<PeerKey>* admitted) const {
  for (const RosterPeer& peer : roster_.peers) {
    admitted->insert(peer.key);
    std::optional<SourceId> id = find(peer.key);
    if (!id) continue;
    const FetchSource& source = fetcher_.sources().at(*id);
    if (source.link != FetchSource::Link::kIdle) connections->emplace(peer.key, source.endpoint);
  }
}

bool PoolSources::take_links_changed() {
  return std::exchange(links_changed_, false);
}

void PoolSources::resolve_holders(Assignment* assignment) const {
  // Indices into another roster would name other workers. Without holders the coordinator is asked.
  bool known = assignment->epoch == roster_.epoch && assignment->roster == roster_.version &&
               assignment->holders.size() == assignment->units.size();
  if (!known) assignment->holders.clear();
  for (std::vector<uint16_t>& holders : assignment->holders) {
    std::vector<SourceId> sources;
    for (uint16_t index : holders) {
      if (index >= roster_.peers.size()) continue;
      std::optional<SourceId> source = find(roster_.peers[index].key);
      if (source) sources.push_back(*source);
    }
    holders = std::move(sources);
  }
}

bool PoolSources::on_peer_link(const PeerKey& peer, LinkEvent event) {
  std::optional<SourceId> source = find(peer);
  if (!source) return false;
  switch (event) {
    case LinkEvent::kConnected:
      fetcher_.on_connected(*source);
      return true;
    case LinkEvent::kRefused:
      fetcher_.on_refused(*source, link_.now());
      break;
    case LinkEvent::kLost:
      fetcher_.on_lost(*source, link_.now());
      break;
  }
  links_changed_ = true;
  return true;
}

// Its bytes were not those of the grain: it is not asked again as long as this session lives.
void PoolSources::drop_peer(SourceId id, const std::string& reason) {
  const FetchSource& source = fetcher_.sources().at(id);
  if (!source.dropped) {
    link_.notice(LogLevel::kWarning,
                 fmt::format("{} ({}) sent wrong bytes and is not asked again: {}", source.name,
                             source.key.brief(), reason),
                 {{"peer", source.key.brief()}, {"name", source.name}, {"reason", reason}});
  }
  fetcher_.drop(id);
  links_changed_ = true;
  account_.tell_at_once();
}

// --- what comes ---

bool PoolSources::on_data(const PeerKey& from, const BulkData& data, ByteSpan part) {
  std::optional<SourceId> source =
      from == link_.coordinator() ? std::optional(kCoordinatorSource) : find(from);
  if (source) on_part(*source, data, part);
  return source.has_value();
}

void PoolSources::on_part(SourceId from, const BulkData& data, ByteSpan part) {
  using Kind = GrainFetcher::Outcome::Kind;
  GrainFetcher::Outcome outcome = fetcher_.on_data(from, data, part, link_.now());
  switch (outcome.kind) {
    case Kind::kIgnored:
      break;
    case Kind::kPart:
      account_.part_came(part.size());
      break;
    case Kind::kComplete:
      account_.part_came(part.size());
      store_grain(from, data.digest, outcome.bytes, outcome.mixed);
      break;
    case Kind::kNotFound:
      if (from == kCoordinatorSource) {
        grain_failed(data.digest, "the coordinator does not have it", false);
      } else {
        fetcher_.elsewhere(data.digest);
      }
      break;
    case Kind::kBad:
      on_wrong_range(from, data, part.size());
      break;
  }
}

void PoolSources::on_wrong_range(SourceId from, const BulkData& data, uint64_t bytes) {
  std::string what = fmt::format("bytes {} to {} of {} contradict the manifest", data.offset,
                                 data.offset + bytes, data.total);
  if (from == kCoordinatorSource) {
    grain_failed(data.digest, what, false);
  } else {
    drop_peer(from, what);
  }
}

void PoolSources::store_grain(SourceId from, const Digest& digest, ByteSpan bytes, bool mixed) {
  Status stored = delivery_.keep(digest, bytes);
  if (stored) {
    fetcher_.stored(digest);
    account_.grain_stored();
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
void PoolSources::grain_failed(const Digest& digest, const std::string& reason, bool ours) {
  bool again = fetcher_.failed(digest, link_.now());
  if (++fetch_notices_ <= kFetchNotices) {
    link_.notice(LogLevel::kWarning,
                 fmt::format("fetching grain {}: {}; {}", digest.brief(), reason,
                             again ? "asking again" : "given up for a while"),
                 {{"grain", digest.brief()}, {"reason", reason}, {"again", again}});
  }
  if (again) return;
  for (const Digest& unneeded : delivery_.postpone(digest)) fetcher_.forget(unneeded);
  if (ours) stop_fetching(reason);
}

void PoolSources::stop_fetching(const std::string& reason) {
  fetcher_.clear();
  delivery_.stop(reason);
}

// --- what is asked for ---

void PoolSources::clear() {
  fetcher_.clear();
  cuts_.stop();
}

void PoolSources::restart() {
  fetch_notices_ = 0;
  fetcher_.restart([this](MissingGrain* grain) {
    std::optional<UnitId> unit = delivery_.units().unit_in_need_of(*grain);
    if (unit) grain->unit = *unit;
    return unit.has_value();
  });
}

// Units are opened one after the other while the fetcher has room for their grains.
void PoolSources::feed_fetcher() {
  while (fetcher_.hungry()) {
    std::optional<UnitTable::OpenUnit> open = delivery_.open_next();
    if (!open) return;
    // Each is put in front of the last: reversed, they end up in their order.
    if (open->first) std::ranges::reverse(open->missing);
    for (const MissingGrain& grain : open->missing) fetcher_.append(grain, open->first);
    fetcher_.set_holders(open->unit, open->holders);
  }
}

void PoolSources::request() {
  feed_fetcher();
  // This device's own file costs no link, neither the coordinator's nor another worker's.
  if (cuts_.in_use()) return;
  while (std::optional<FetchOrder> order = fetcher_.next(link_.now(), window_bytes_)) {
    const MissingGrain& grain = order->grain;
    // It may have come for another pool since it was queued.
    if (delivery_.find_stored(grain.digest, grain.bytes)) {
      fetcher_.forget(grain.digest);
    } else {
      send(*order);
    }
    feed_fetcher();
  }
}

void PoolSources::send(const FetchOrder& order) {
  FetchGrain fetch{order.grain.digest, order.grain.grain, order.offset, order.length};
  if (order.source == kCoordinatorSource) {
    link_.send(fetch, Channel::kBulk);
  } else {
    link_.send_to_worker(fetcher_.sources().at(order.source).key, fetch);
  }
}

// Whether grains are being fetched, or will be as soon as others have come.
bool PoolSources::fetching() const {
  return !delivery_.full() && (fetcher_.wanted() > 0 || delivery_.any_waiting());
}

void PoolSources::on_tick(std::optional<uint64_t> epoch) {
  if (epoch) feed_fetcher();
  if (fetcher_.on_tick(link_.now())) links_changed_ = true;
  if (epoch) cut_from_model();
  account_.report(epoch, fetcher_.sources(), !fetching());
}

std::optional<TimePoint> PoolSources::next_tick() const {
  if (cuts_due()) return link_.now();
  std::optional<TimePoint> fetch = fetcher_.next_tick();
  std::optional<TimePoint> report = account_.next_tick();
  return fetch && report ? std::min(*fetch, *report) : fetch ? fetch : report;
}

const PartWindow& PoolSources::coordinator_window() const {
  return fetcher_.sources().at(kCoordinatorSource).window;
}

void PoolSources::describe(MembershipStatus* status) const {
  status->bytes_fetched = account_.bytes_fetched();
  status->sources = account_.bytes(fetcher_.sources());
}

Status PoolSources::validate() const {
  if (Status units = delivery_.validate(); !units) return units;
  if (Status fetcher = fetcher_.validate(); !fetcher) return fetcher;
  if (fetching() || delivery_.cared_for()) return {};
  return Error{ErrorCode::kInvalidArgument, "units are missing and nothing is done about it"};
}

// --- a model file of this device ---

void PoolSources::use_manifest(const Manifest& manifest) {
  Status usable = cuts_.start(manifest);
  if (!usable) refuse_model(usable.error().message, manifest);
}

void PoolSources::refuse_model(const std::string& reason, const Manifest& manifest) {
  cuts_.stop();
  link_.notice(LogLevel::kWarning,
               fmt::format("{}: another model or quantization than {}; fetching instead", reason,
                           manifest.model_name()),
               {{"model", manifest.model_name()}, {"reason", reason}});
}

bool PoolSources::cuts_due() const {
  if (!cuts_.in_use()) return false;
  if (cuts_.grain() || fetcher_.first_queued()) return true;
  return delivery_.any_waiting() && fetcher_.hungry();
}

// One grain a turn: between two of them work that has come is done.
void PoolSources::cut_from_model() {
  if (!cuts_due()) return;
  if (!cuts_.grain()) cut_next_expert();
  while (std::optional<ModelCuts::Grain> grain = cuts_.grain()) {
    bool wanted = wants(*grain);
    if (wanted && !store_cut(*grain)) return;
    cuts_.advance();
    if (wanted) return;
  }
}

void PoolSources::cut_next_expert() {
  std::optional<MissingGrain> first = fetcher_.first_queued();
  if (!first) return;
  Status cut = cuts_.cut_expert_of(first->grain);
  if (!cut) refuse_model(cut.error().message, cuts_.manifest());
}

// Also for a unit whose turn has not come: its expert is at hand now.
bool PoolSources::wants(const ModelCuts::Grain& grain) const {
  if (delivery_.is_stored(grain.digest) || delivery_.full()) return false;
  MissingGrain missing{grain.digest, grain.id, grain.bytes.size(), {}};
  return fetcher_.wants(grain.digest) || delivery_.units().unit_in_need_of(missing);
}

// False if the file turned out to be another one.
bool PoolSources::store_cut(const ModelCuts::Grain& grain) {
  if (sha256(grain.bytes) != grain.digest) {
    refuse_model(fmt::format("{}: layer {}, expert {} has other weights", cuts_.path(),
                             grain.id.layer, grain.id.expert),
                 cuts_.manifest());
    return false;
  }
  store_grain(kCoordinatorSource, grain.digest, grain.bytes, false);
  if (delivery_.is_stored(grain.digest)) account_.grain_cut(grain.bytes.size());
  return true;
}

}  // namespace potluck
