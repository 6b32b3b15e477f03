// How a session gets what it computes with: the manifest, the assignment, the grains.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "worker/pool_session.h"

namespace potluck {
namespace {

// How often a coordinator that denies its own manifest is asked.
constexpr uint32_t kManifestTries = 5;
// Failures of one assignment that people read about; the rest would only repeat them.
constexpr uint32_t kFetchNotices = 5;

bool is_signature(const Signature& signature) {
  return std::any_of(signature.begin(), signature.end(), [](uint8_t byte) { return byte != 0; });
}

// Of two assignments that came early, the newer one.
bool replaces(const Assignment& assignment, const std::optional<Assignment>& early) {
  return !early || early->epoch != assignment.epoch || early->version <= assignment.version;
}

}  // namespace

void PoolSession::find_manifest() {
  // Begun before the connection or the coordinator was lost: it goes on from there.
  bool begun = manifest_parts_ && manifest_parts_of_ == welcome_->manifest &&
               manifest_parts_->total() == welcome_->manifest_bytes;
  if (!begun) manifest_parts_.reset();
  if (begun || context_.manifests == nullptr) {
    request_manifest();
    return;
  }
  Result<SignedManifest> stored = context_.manifests->load(welcome_->manifest);
  if (stored) {
    take_manifest(std::move(*stored), true);
    return;
  }
  if (stored.error().code != ErrorCode::kNotFound) {
    notice(stored.error().message + "; fetching the manifest again");
  }
  request_manifest();
}

// All that is missing of it, as if nothing had been asked for.
void PoolSession::request_manifest() {
  phase_ = Phase::kFetchingManifest;
  manifest_pause_.reset();
  if (!manifest_parts_) {
    manifest_parts_.emplace(welcome_->manifest_bytes);
    manifest_parts_of_ = welcome_->manifest;
    manifest_signature_ = {};
  }
  coordinator_window().reset();
  manifest_parts_->ask_again();
  request_manifest_parts();
}

void PoolSession::request_manifest_parts() {
  if (phase_ != Phase::kFetchingManifest) return;  // asked for after the next Welcome
  PartWindow& window = coordinator_window();
  for (uint32_t room = window.room(); room > 0 && !manifest_parts_->all_asked();
       room = window.room()) {
    uint64_t offset = manifest_parts_->asked();
    auto length =
        static_cast<uint32_t>(std::min<uint64_t>(room, manifest_parts_->total() - offset));
    manifest_parts_->ask(length);
    window.asked(manifest_parts_of_, offset, length, now());
    send(FetchManifest{manifest_parts_of_, offset, length}, Channel::kBulk);
  }
}

// Asks again for what is overdue, or was not there a while ago.
void PoolSession::tick_manifest() {
  if (now() < manifest_due()) return;
  if (!manifest_pause_) coordinator_window().timed_out();
  request_manifest();
}

TimePoint PoolSession::manifest_due() const {
  if (manifest_pause_) return *manifest_pause_;
  return fetcher_.sources().at(kCoordinatorSource).window.overdue_at();
}

void PoolSession::on_manifest_part(const BulkData& data, ByteSpan part) {
  PartWindow& window = coordinator_window();
  window.arrived(data.digest, data.offset, part.size(), now());
  if (!data.found) {
    retry_manifest("the coordinator does not have the manifest it announced");
    return;
  }
  if (is_signature(data.signature)) manifest_signature_ = data.signature;
  switch (manifest_parts_->add(data, part)) {
    case BulkAssembly::Step::kGap:
      window.give_up(data.digest);
      request_manifest_parts();
      return;
    case BulkAssembly::Step::kIgnored:
    case BulkAssembly::Step::kTaken:
      request_manifest_parts();
      return;
    case BulkAssembly::Step::kBad:
      retry_manifest(fmt::format("wrong manifest: bytes {} to {} of {}, announced with {} bytes",
                                 data.offset, data.offset + part.size(), data.total,
                                 welcome_->manifest_bytes));
      return;
    case BulkAssembly::Step::kComplete:
      break;
  }
  take_manifest({manifest_parts_->take(), manifest_signature_}, false);
}

void PoolSession::retry_manifest(const std::string& reason) {
  manifest_parts_.reset();
  if (++manifest_failures_ >= kManifestTries) {
    end(reason, true);
    return;
  }
  coordinator_window().reset();
  manifest_pause_ = now() + GrainFetcher::kPause;
}

// Nothing about the model is believed before the digest is the announced one and the signature is
// the pool's.
void PoolSession::take_manifest(SignedManifest signed_manifest, bool from_disk) {
  manifest_parts_.reset();
  if (Digest found = sha256(signed_manifest.body); found != welcome_->manifest) {
    end(fmt::format("wrong manifest: its SHA-256 is {}, announced was {}", found.hex(),
                    welcome_->manifest.hex()),
        true);
    return;
  }
  Result<Manifest> manifest = verify_manifest(signed_manifest, address_.signing_key);
  if (!manifest && from_disk) {  // another pool may have signed the same model
    request_manifest();
    return;
  }
  if (!manifest) {
    end("wrong manifest: " + manifest.error().message, true);
    return;
  }
  if (!from_disk && context_.manifests != nullptr) {
    Status saved = context_.manifests->save(welcome_->manifest, signed_manifest);
    if (!saved) notice("the manifest will be fetched again next time: " + saved.error().message);
  }
  manifest_ = std::make_unique<Manifest>(std::move(*manifest));
  check_model();
  become_member();
}

void PoolSession::become_member() {
  phase_ = Phase::kMember;
  // The coordinator may have forgotten what is ready and what it was asked for.
  units_.report_again();
  fetcher_.ask_again();
  tick_sources();
  std::optional<Assignment> early = std::exchange(early_, std::nullopt);
  if (early && early->epoch == welcome_->epoch) apply(*early);
  request_grains();
  report_residency();
}

void PoolSession::on_assignment(Assignment assignment) {
  resolve_holders(&assignment);
  bool known = welcome_ && assignment.epoch == welcome_->epoch;
  if (!known || manifest_ == nullptr) {
    uint64_t epoch = assignment.epoch;
    if (replaces(assignment, early_)) early_ = std::move(assignment);
    of_this_epoch(epoch);
    return;
  }
  if (!any_version_ && assignment.version < version_) return;
  apply(assignment);
}

void PoolSession::apply(const Assignment& assignment) {
  if (Status valid = check_assignment(assignment, *manifest_); !valid) {
    notice("ignored: " + valid.error().message);
    return;
  }
  any_version_ = false;
  version_ = assignment.version;
  fetch_notices_ = 0;
  std::vector<MissingGrain> missing = units_.assign(assignment, *manifest_, context_.store);
  uint64_t bytes = 0;
  for (const MissingGrain& grain : missing) bytes += grain.bytes;
  if (bytes > 0 && !context_.make_room(bytes)) {
    notice(
        fmt::format("{} bytes of experts are assigned and missing, the store has room for {} of "
                    "its {}: give it more with --disk",
                    bytes,
                    context_.store.quota_bytes() -
                        std::min(context_.store.used_bytes(), context_.store.quota_bytes()),
                    context_.store.quota_bytes()));
  }
  fetcher_.replace(std::move(missing));
  set_holders(assignment);
  tick_sources();
  request_grains();
  report_residency();
}

void PoolSession::request_grains() {
  if (phase_ != Phase::kMember || uses_model_) return;
  while (std::optional<FetchOrder> order = fetcher_.next(now(), window_bytes_)) {
    const MissingGrain& grain = order->grain;
    if (context_.store.contains(grain.digest)) {  // came for another pool
      fetcher_.forget(grain.digest);
      units_.grain_stored(grain.digest);
      continue;
    }
    FetchGrain fetch{grain.digest, grain.grain, order->offset, order->length};
    if (order->source == kCoordinatorSource) {
      send(fetch, Channel::kBulk);
    } else {
      const PeerKey& peer = fetcher_.sources().at(order->source).key;
      context_.actions.emplace_back(SendMessage{peer, Channel::kBulk, fetch, {}});
    }
  }
}

// After the bulk channel was connected anew: what was on its way is lost.
void PoolSession::request_bulk_again() {
  if (phase_ == Phase::kFetchingManifest && !manifest_pause_) request_manifest();
  if (phase_ == Phase::kFetchingManifest) return;
  fetcher_.ask_again();
  request_grains();
}

void PoolSession::on_bulk_data(SourceId from, const BulkData& data, ByteSpan part) {
  bool from_peer = from != kCoordinatorSource;
  if (!from_peer && manifest_parts_ && data.digest == manifest_parts_of_) {
    on_manifest_part(data, part);
    return;
  }
  using Kind = GrainFetcher::Outcome::Kind;
  GrainFetcher::Outcome outcome = fetcher_.on_data(from, data, part, now());
  if (outcome.kind == Kind::kPart || outcome.kind == Kind::kComplete) {
    bytes_fetched_ += part.size();
  }
  if (outcome.kind == Kind::kComplete) {
    store_grain(from, data.digest, outcome.bytes, outcome.mixed);
  }
  if (outcome.kind == Kind::kNotFound && from_peer) fetcher_.elsewhere(data.digest);
  if (outcome.kind == Kind::kNotFound && !from_peer) {
    grain_failed(data.digest, "the coordinator does not have it");
  }
  if (outcome.kind == Kind::kBad) {
    std::string what = fmt::format("bytes {} to {} of {} contradict the manifest", data.offset,
                                   data.offset + part.size(), data.total);
    if (from_peer) {
      drop_peer(from, what);
    } else {
      grain_failed(data.digest, what);
    }
  }
  tick_sources();
  request_grains();
  report_residency();
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
  } else if (stored.error().code == ErrorCode::kCorrupt && mixed) {
    fetcher_.begin_anew(digest);
  } else if (stored.error().code == ErrorCode::kCorrupt && from != kCoordinatorSource) {
    drop_peer(from, stored.error().message);
  } else if (stored.error().code == ErrorCode::kLimit) {
    stop_fetching(stored.error().message);
  } else {
    grain_failed(digest, stored.error().message);
  }
}

void PoolSession::grain_failed(const Digest& digest, const std::string& reason) {
  bool again = fetcher_.failed(digest, now());
  if (++fetch_notices_ > kFetchNotices) return;
  notice(fmt::format("fetching grain {}: {}; {}", digest.hex().substr(0, 12), reason,
                     again ? "asking again" : "given up"));
}

// Without room every further grain would be fetched in vain. The next assignment starts anew.
void PoolSession::stop_fetching(const std::string& reason) {
  fetcher_.clear();
  notice(fmt::format("no room for more experts, {} of {} units are ready: {}", units_.ready_count(),
                     units_.assigned_count(), reason));
}

// The store has lost the grain. Returns the units that cannot be computed until it is back.
std::vector<UnitId> PoolSession::fetch_again(GrainId grain) {
  const Digest& digest = manifest_->digest_of(grain);
  std::vector<UnitId> lost = units_.grain_lost(digest);
  UnitId unit = lost.empty() ? UnitId{grain.layer, grain.expert, 0} : lost.front();
  fetcher_.add({digest, grain, manifest_->grain_bytes(grain), unit});
  return lost;
}

void PoolSession::on_grain_rotten(const Digest& digest, const std::string& finding) {
  std::optional<GrainId> grain = units_.find_grain(digest);
  if (!grain) return;
  (void)fetch_again(*grain);  // the units are reported below
  notice(finding + "; fetching it again");
  request_grains();
  report_residency();
}

}  // namespace potluck
