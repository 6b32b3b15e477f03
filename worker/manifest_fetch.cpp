#include "worker/manifest_fetch.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "worker/grain_fetcher.h"

namespace potluck {
namespace {

// How often a coordinator that denies its own manifest is asked.
constexpr uint32_t kTries = 5;

bool is_signature(const Signature& signature) {
  return std::any_of(signature.begin(), signature.end(), [](uint8_t byte) { return byte != 0; });
}

}  // namespace

std::unique_ptr<Manifest> ManifestFetch::begin(const Welcome& welcome, PartWindow& window) {
  // Begun before the connection or the coordinator was lost: it goes on from there.
  const auto* begun = std::get_if<Asking>(&state_);
  bool same = begun != nullptr && announced_.manifest == welcome.manifest &&
              begun->parts.total() == welcome.manifest_bytes;
  announced_ = welcome;
  failures_ = 0;
  if (!same) {
    state_ = std::monostate{};
    if (std::unique_ptr<Manifest> manifest = load()) return manifest;
    state_.emplace<Asking>(Asking{BulkAssembly(welcome.manifest_bytes)});
  }
  ask_again(window);
  return nullptr;
}

std::unique_ptr<Manifest> ManifestFetch::load() {
  if (stored_ == nullptr) return nullptr;
  Result<SignedManifest> stored = stored_->load(announced_.manifest);
  if (!stored) {
    if (stored.error().code != ErrorCode::kNotFound) {
      link_.notice(LogLevel::kWarning, stored.error().message + "; fetching the manifest again",
                   {{"reason", stored.error().message}});
    }
    return nullptr;
  }
  // Another pool may have signed the same model: then this one's signature is fetched.
  Result<Manifest> manifest = verified(*stored);
  return manifest ? std::make_unique<Manifest>(std::move(*manifest)) : nullptr;
}

void ManifestFetch::ask_again(PartWindow& window) {
  auto* asking = std::get_if<Asking>(&state_);
  if (asking == nullptr) return;
  window.reset();
  asking->parts.ask_again();
  ask(window);
}

void ManifestFetch::ask(PartWindow& window) {
  auto* asking = std::get_if<Asking>(&state_);
  if (asking == nullptr) return;
  BulkAssembly& parts = asking->parts;
  for (uint32_t room = window.room(); room > 0 && !parts.all_asked(); room = window.room()) {
    uint64_t offset = parts.asked();
    auto length = static_cast<uint32_t>(std::min<uint64_t>(room, parts.total() - offset));
    parts.ask(length);
    window.asked(announced_.manifest, offset, length, link_.now());
    link_.send(FetchManifest{announced_.manifest, offset, length}, Channel::kBulk);
  }
}

void ManifestFetch::on_tick(PartWindow& window) {
  if (link_.now() < next_tick(window)) return;
  if (std::holds_alternative<Pausing>(state_)) {
    state_.emplace<Asking>(Asking{BulkAssembly(announced_.manifest_bytes)});
  } else {
    window.timed_out();
  }
  ask_again(window);
}

TimePoint ManifestFetch::next_tick(const PartWindow& window) const {
  if (!wanted()) return TimePoint::max();
  const auto* pausing = std::get_if<Pausing>(&state_);
  return pausing != nullptr ? pausing->until : window.overdue_at();
}

bool ManifestFetch::awaits(const Digest& digest) const {
  return std::holds_alternative<Asking>(state_) && digest == announced_.manifest;
}

std::unique_ptr<Manifest> ManifestFetch::on_part(const BulkData& data, ByteSpan part,
                                                 PartWindow& window) {
  auto* asking = std::get_if<Asking>(&state_);
  if (asking == nullptr) return nullptr;
  window.arrived(data.digest, data.offset, part.size(), link_.now());
  if (!data.found) {
    fail("the coordinator does not have the manifest it announced", window);
    return nullptr;
  }
  if (is_signature(data.signature)) asking->signature = data.signature;
  switch (asking->parts.add(data, part)) {
    case BulkAssembly::Step::kGap:
      window.give_up(data.digest);
      return nullptr;
    case BulkAssembly::Step::kIgnored:
    case BulkAssembly::Step::kTaken:
      return nullptr;
    case BulkAssembly::Step::kBad:
      fail(fmt::format("wrong manifest: bytes {} to {} of {}, announced with {} bytes", data.offset,
                       data.offset + part.size(), data.total, announced_.manifest_bytes),
           window);
      return nullptr;
    case BulkAssembly::Step::kComplete:
      break;
  }
  SignedManifest complete{asking->parts.take(), asking->signature};
  state_ = std::monostate{};
  return finish(complete);
}

std::unique_ptr<Manifest> ManifestFetch::finish(const SignedManifest& signed_manifest) {
  // Not fetched again if it is wrong: all of it came from this coordinator, which has no other one
  // to give.
  Result<Manifest> manifest = verified(signed_manifest);
  if (!manifest) {
    end("wrong manifest: " + manifest.error().message);
    return nullptr;
  }
  if (stored_ != nullptr) {
    Status saved = save_(announced_.manifest, signed_manifest);
    if (!saved) {
      link_.notice(LogLevel::kWarning,
                   "the manifest will be fetched again next time: " + saved.error().message,
                   {{"reason", saved.error().message}});
    }
  }
  return std::make_unique<Manifest>(std::move(*manifest));
}

// Nothing about the model is believed before the digest is the announced one and the signature is
// the pool's.
Result<Manifest> ManifestFetch::verified(const SignedManifest& signed_manifest) const {
  if (Digest found = sha256(signed_manifest.body); found != announced_.manifest) {
    return Error{ErrorCode::kCorrupt, fmt::format("its SHA-256 is {}, announced was {}",
                                                  found.hex(), announced_.manifest.hex())};
  }
  return verify_manifest(signed_manifest, signing_key_);
}

void ManifestFetch::fail(const std::string& reason, PartWindow& window) {
  if (++failures_ >= kTries) {
    state_ = std::monostate{};
    end(reason);
    return;
  }
  window.reset();
  state_ = Pausing{link_.now() + GrainFetcher::kPause};
}

void ManifestFetch::end(const std::string& reason) {
  link_.send(Goodbye{announced_.epoch, reason});
  link_.end(reason);
}

}  // namespace potluck
