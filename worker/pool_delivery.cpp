// How a session gets what it computes with: the manifest, the assignment, and what comes on the
// bulk channel.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "worker/pool_session.h"

namespace potluck {
namespace {

// How often a coordinator that denies its own manifest is asked.
constexpr uint32_t kManifestTries = 5;
// Holders are a hint. Before the manifest is there nothing tells how many units there can be.
constexpr size_t kEarlyHolders = 64 * 1024;

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
    Status saved = context_.save_manifest(welcome_->manifest, signed_manifest);
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
    if (assignment.units.size() > kEarlyHolders) assignment.holders = {};
    if (replaces(assignment, early_)) early_ = std::move(assignment);
    of_this_epoch(epoch);
    return;
  }
  if (!any_version_ && assignment.version < version_) return;
  apply(assignment);
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
    grain_failed(data.digest, "the coordinator does not have it", false);
  }
  if (outcome.kind == Kind::kBad) {
    std::string what = fmt::format("bytes {} to {} of {} contradict the manifest", data.offset,
                                   data.offset + part.size(), data.total);
    if (from_peer) {
      drop_peer(from, what);
    } else {
      grain_failed(data.digest, what, false);
    }
  }
  tick_sources();
  request_grains();
  report_residency();
}

}  // namespace potluck
