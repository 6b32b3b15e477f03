#include "coordinator/cluster/delivery.h"

#include <algorithm>
#include <list>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

// Experts kept laid out: workers that hold slices of the same experts ask for them at about the
// same time. At least one is kept, whatever its size.
constexpr uint64_t kCacheBytes = 32 * kMiB;

}  // namespace

// Experts laid out most recently, with what is known about their grains.
class Delivery::ExpertCache {
 public:
  ExpertCache(const Manifest& manifest, const GrainCutter& cutter)
      : manifest_(manifest), cutter_(cutter) {}

  // The grain, which the manifest must contain; verified against it.
  Result<ByteSpan> grain(GrainId id) {
    Result<Entry*> found = expert(id.layer, id.expert);
    if (!found) return found.error();
    Entry& entry = **found;
    const ManifestLayer& layer = *manifest_.layer(id.layer);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < id.grain; ++i) {
      offset += grain_layout(layer.shape, layer.plan, i).bytes;
    }
    ByteSpan bytes = ByteSpan(entry.bytes).subspan(offset, manifest_.grain_bytes(id));
    if (!entry.verified[id.grain] && sha256(bytes) != manifest_.digest_of(id)) {
      return Error{ErrorCode::kCorrupt, "the model file was altered since its manifest was made"};
    }
    entry.verified[id.grain] = true;
    return bytes;
  }

 private:
  struct Entry {
    uint16_t layer = 0;
    uint16_t expert = 0;
    ByteVector bytes;
    std::vector<bool> verified;  // [grains]
  };

  Result<Entry*> expert(uint16_t layer, uint16_t expert) {
    auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.layer == layer && entry.expert == expert;
    });
    if (found == entries_.end()) {
      Entry entry{layer, expert, ByteVector(cutter_.expert_bytes(layer)),
                  std::vector<bool>(cutter_.plan(layer).grains)};
      if (Status cut = cutter_.cut_expert(layer, expert, entry.bytes); !cut) return cut.error();
      make_room(entry.bytes.size());
      bytes_ += entry.bytes.size();
      entries_.push_front(std::move(entry));
    } else {
      entries_.splice(entries_.begin(), entries_, found);
    }
    return &entries_.front();
  }

  void make_room(uint64_t bytes) {
    while (!entries_.empty() && bytes_ + bytes > kCacheBytes) {
      bytes_ -= entries_.back().bytes.size();
      entries_.pop_back();
    }
  }

  const Manifest& manifest_;
  const GrainCutter& cutter_;
  std::list<Entry> entries_;  // most recently used first
  uint64_t bytes_ = 0;
};

Delivery::Delivery(const SignedManifest& signed_manifest, const Manifest& manifest,
                   const GrainCutter& cutter, const Clock& clock, uint64_t serve_rate)
    : signed_manifest_(signed_manifest),
      manifest_digest_(sha256(signed_manifest.body)),
      manifest_(manifest),
      clock_(clock),
      pacer_(serve_rate),
      cache_(std::make_unique<ExpertCache>(manifest, cutter)) {}

Delivery::~Delivery() = default;

bool Delivery::on_message(const PeerKey& from, const Message& message, bool is_member) {
  const auto* manifest = std::get_if<FetchManifest>(&message);
  const auto* grain = std::get_if<FetchGrain>(&message);
  if (manifest == nullptr && grain == nullptr) return false;
  if (!is_member) {
    notices_.add(fmt::format("peer {} asked for model data without being a member", from.brief()));
    return true;
  }
  bool taken = manifest != nullptr ? queue_.add(from, *manifest) : queue_.add(from, *grain);
  if (!taken) {
    notices_.add(fmt::format("peer {} asks for more than can be queued; a request was dropped",
                             from.brief()));
  }
  return true;
}

std::vector<Outgoing> Delivery::take_outgoing(size_t limit) {
  std::vector<Outgoing> parts;
  while (parts.size() < limit && !queue_.empty() && pacer_.may_send(clock_.now())) {
    BulkPart part = queue_.next([this](const BulkRequest& request) { return content(request); });
    if (part.manifest && part.data.found) part.data.signature = signed_manifest_.signature;
    bytes_delivered_ += part.bytes.size();
    pacer_.sent(part.bytes.size(), clock_.now());
    parts.push_back({part.peer, Channel::kBulk, std::move(part.data), std::move(part.bytes)});
  }
  return parts;
}

std::optional<TimePoint> Delivery::next_part() const {
  if (queue_.empty()) return std::nullopt;
  return pacer_.next(clock_.now());
}

ByteSpan Delivery::content(const BulkRequest& request) {
  if (request.grain) return grain_content(*request.grain);
  if (request.digest == manifest_digest_) return signed_manifest_.body;
  notices_.add(fmt::format("peer {} asked for manifest {}, this pool's is {}", request.peer.brief(),
                           request.digest.hex(), manifest_digest_.hex()));
  return {};
}

ByteSpan Delivery::grain_content(const FetchGrain& fetch) {
  GrainId id = fetch.grain;
  std::string name =
      fmt::format("grain {} of expert {} in layer {}", id.grain, id.expert, id.layer);
  if (!manifest_.contains(id) || manifest_.digest_of(id) != fetch.digest) {
    notices_.add(fmt::format("{} was asked for as {}, which the manifest does not say", name,
                             fetch.digest.hex()));
    return {};
  }
  Result<ByteSpan> grain = cache_->grain(id);
  if (grain) return *grain;
  notices_.add(fmt::format("{} cannot be delivered: {}", name, grain.error().message));
  return {};
}

}  // namespace potluck
