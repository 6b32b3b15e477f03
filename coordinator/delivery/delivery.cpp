#include "coordinator/delivery/delivery.h"

#include <algorithm>
#include <list>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

// Experts kept laid out: workers that hold slices of the same experts ask for them at about the
// same time. At least one is kept, regardless of its size.
constexpr uint64_t kExpertBytes = 32 * kMiB;
// Grains that are being sent, part by part, to workers of which each is in another expert: laying
// out an expert anew for every part would cost far more than sending it. At least one is kept.
constexpr uint64_t kGrainCacheBytes = 32 * kMiB;

// Things by name, the most recently used first; those beyond a number of bytes are dropped, but for
// the first.
template <class Name, class Value>
class RecentlyUsed {
 public:
  explicit RecentlyUsed(uint64_t most_bytes) : most_bytes_(most_bytes) {}

  Value* find(const Name& name) {
    auto found = std::find_if(entries_.begin(), entries_.end(),
                              [&](const Entry& entry) { return entry.name == name; });
    if (found == entries_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found);
    return &entries_.front().value;
  }
  Value* add(const Name& name, Value value, uint64_t bytes) {
    while (!entries_.empty() && bytes_ + bytes > most_bytes_) {
      bytes_ -= entries_.back().bytes;
      entries_.pop_back();
    }
    bytes_ += bytes;
    entries_.push_front({name, std::move(value), bytes});
    return &entries_.front().value;
  }

 private:
  struct Entry {
    Name name;
    Value value;
    uint64_t bytes = 0;
  };
  uint64_t most_bytes_;
  std::list<Entry> entries_;
  uint64_t bytes_ = 0;
};

}  // namespace

// What was laid out and verified most recently.
class Delivery::GrainCache {
 public:
  GrainCache(const Manifest& manifest, const GrainCutter& cutter)
      : manifest_(manifest), cutter_(cutter) {}

  // The grain, which the manifest must contain; verified against it. Until the next call.
  Result<ByteSpan> grain(GrainId id) {
    if (ByteVector* known = grains_.find(id)) return ByteSpan(*known);
    Result<ByteSpan> laid_out = expert(id.layer, id.expert);
    if (!laid_out) return laid_out.error();
    const ManifestLayer& layer = *manifest_.layer(id.layer);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < id.grain; ++i) {
      offset += grain_layout(layer.shape, layer.plan, i).bytes;
    }
    ByteSpan bytes = laid_out->subspan(offset, manifest_.grain_bytes(id));
    if (sha256(bytes) != manifest_.digest_of(id)) {
      return Error{ErrorCode::kCorrupt, "the model file was altered since its manifest was made"};
    }
    return ByteSpan(*grains_.add(id, ByteVector(bytes.begin(), bytes.end()), bytes.size()));
  }

 private:
  Result<ByteSpan> expert(uint16_t layer, uint16_t expert) {
    std::pair name(layer, expert);
    if (ByteVector* known = experts_.find(name)) return ByteSpan(*known);
    ByteVector bytes(cutter_.expert_bytes(layer));
    if (Status cut = cutter_.cut_expert(layer, expert, bytes); !cut) return cut.error();
    uint64_t size = bytes.size();
    return ByteSpan(*experts_.add(name, std::move(bytes), size));
  }

  const Manifest& manifest_;
  const GrainCutter& cutter_;
  RecentlyUsed<std::pair<uint16_t, uint16_t>, ByteVector> experts_{kExpertBytes};
  RecentlyUsed<GrainId, ByteVector> grains_{kGrainCacheBytes};
};

Delivery::Delivery(const SignedManifest& signed_manifest, const Manifest& manifest,
                   const GrainCutter& cutter, const Clock& clock, uint64_t serve_rate)
    : signed_manifest_(signed_manifest),
      manifest_digest_(sha256(signed_manifest.body)),
      manifest_(manifest),
      clock_(clock),
      pacer_(serve_rate),
      cache_(std::make_unique<GrainCache>(manifest, cutter)) {}

Delivery::~Delivery() = default;

bool Delivery::on_message(const PeerKey& from, const Message& message, bool is_member) {
  const auto* manifest = std::get_if<FetchManifest>(&message);
  const auto* grain = std::get_if<FetchGrain>(&message);
  if (manifest == nullptr && grain == nullptr) return false;
  if (!is_member) {
    // One that was given up and does not know it yet asks many times before it greets.
    if (last_stranger_ != from) {
      notices_.add(
          fmt::format("peer {} asked for model data without being a member", from.brief()));
    }
    last_stranger_ = from;
    return true;
  }
  if (manifest != nullptr) {
    queue_.add(from, *manifest);
  } else {
    queue_.add(from, *grain);
  }
  return true;
}

std::vector<Outgoing> Delivery::take_outgoing(size_t limit) {
  std::vector<Outgoing> parts;
  taken_.clear();
  while (parts.size() < limit && pacer_.may_send(clock_.now())) {
    std::optional<BulkRequest> request = queue_.take(clock_.now());
    if (!request) break;
    BulkPart part = make_part(*request, content(*request));
    if (!request->grain && part.data.found) part.data.signature = signed_manifest_.signature;
    bytes_delivered_ += part.bytes.size();
    pacer_.sent(part.bytes.size(), clock_.now());
    parts.push_back({part.peer, Channel::kBulk, std::move(part.data), std::move(part.bytes)});
    taken_.push_back(std::move(*request));
  }
  return parts;
}

void Delivery::not_sent(const Outgoing& message, bool gone) {
  const auto* data = std::get_if<BulkData>(&message.message);
  if (data == nullptr) return;
  auto request = std::find_if(taken_.begin(), taken_.end(), [&](const BulkRequest& taken) {
    return taken.peer == message.peer && taken.digest == data->digest &&
           taken.offset == data->offset;
  });
  if (request == taken_.end()) return;
  bytes_delivered_ -= std::min<uint64_t>(
      bytes_delivered_, std::min<uint64_t>(request->length, data->total - data->offset));
  if (gone) {
    queue_.forget(message.peer);
  } else {
    queue_.put_back(std::move(*request), clock_.now() + BulkQueue::kFullPause);
  }
  taken_.erase(request);
}

std::optional<TimePoint> Delivery::next_part() const {
  std::optional<TimePoint> turn = queue_.next_turn();
  if (!turn) return std::nullopt;
  return std::max(*turn, pacer_.next(clock_.now()));
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
