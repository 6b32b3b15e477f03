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

// Grains, the most recently used first; those beyond kGrainCacheBytes are dropped, but for the
// first.
class RecentGrains {
 public:
  ByteVector* find(GrainId id) {
    auto found = std::find_if(entries_.begin(), entries_.end(),
                              [&](const Entry& entry) { return entry.id == id; });
    if (found == entries_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found);
    return &entries_.front().bytes;
  }
  ByteVector* add(GrainId id, ByteVector bytes) {
    while (!entries_.empty() && used_bytes_ + bytes.size() > kGrainCacheBytes) {
      used_bytes_ -= entries_.back().bytes.size();
      entries_.pop_back();
    }
    used_bytes_ += bytes.size();
    entries_.push_front({id, std::move(bytes)});
    return &entries_.front().bytes;
  }

 private:
  struct Entry {
    GrainId id;
    ByteVector bytes;
  };
  std::list<Entry> entries_;
  uint64_t used_bytes_ = 0;
};

}  // namespace

// Grains cut from the model file and verified, those asked for most recently.
class Delivery::GrainCache {
 public:
  GrainCache(const Manifest& manifest, const GrainCutter& cutter, GrainSource* grains)
      : manifest_(manifest),
        experts_(cutter, kExpertBytes),
        source_(grains != nullptr ? *grains : experts_) {}

  // The grain, which the manifest must contain; verified against it. Until the next call.
  Result<ByteSpan> grain(GrainId id) {
    if (ByteVector* known = grains_.find(id)) return ByteSpan(*known);
    Result<GrainView> cut = source_.get(id);
    if (!cut) return cut.error();
    // Otherwise a model file that was replaced under us would look like a malicious coordinator:
    // workers refuse bytes that do not match, and stop asking their source.
    if (sha256(cut->bytes) != manifest_.digest_of(id)) {
      return Error{ErrorCode::kCorrupt, "the model file was altered since its manifest was made"};
    }
    ByteVector copy(cut->bytes.begin(), cut->bytes.end());
    return ByteSpan(*grains_.add(id, std::move(copy)));
  }

 private:
  const Manifest& manifest_;
  GgufSource experts_;
  GrainSource& source_;
  RecentGrains grains_;
};

Delivery::Delivery(const SignedManifest& signed_manifest, const Manifest& manifest,
                   const GrainCutter& cutter, const Clock& clock, uint64_t serve_rate,
                   GrainSource* grains)
    : signed_manifest_(signed_manifest),
      manifest_digest_(sha256(signed_manifest.body)),
      manifest_(manifest),
      clock_(clock),
      pacer_(serve_rate),
      cache_(std::make_unique<GrainCache>(manifest, cutter, grains)) {}

Delivery::~Delivery() = default;

bool Delivery::on_message(const PeerKey& from, const Message& message, bool is_member) {
  const auto* manifest = std::get_if<FetchManifest>(&message);
  const auto* grain = std::get_if<FetchGrain>(&message);
  if (manifest == nullptr && grain == nullptr) return false;
  if (!is_member) {
    // A worker that was given up and does not know it yet asks many times before it greets: one
    // line is enough.
    if (last_stranger_ != from) {
      notices_.add(fmt::format("peer {} asked for model data without being a member", from.brief()),
                   LogLevel::kWarning, {{"peer", from.brief()}});
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

std::vector<OutgoingMessage> Delivery::take_outgoing(size_t limit) {
  std::vector<OutgoingMessage> parts;
  // not_sent() is only asked about the parts of the last call.
  taken_.clear();
  while (parts.size() < limit && pacer_.may_send(clock_.now())) {
    std::optional<BulkRequest> request = queue_.take(clock_.now());
    if (!request) break;
    BulkPart part = make_part(*request, content(*request));
    if (!request->grain && part.data.found) part.data.signature = signed_manifest_.signature;
    bytes_delivered_ += part.bytes.size();
    if (part.data.found && part.data.offset + part.bytes.size() == part.data.total) {
      tell_delivered(*request, part.data.total);
    }
    pacer_.sent(part.bytes.size(), clock_.now());
    parts.push_back({part.peer, Channel::kBulk, part.data, std::move(part.bytes)});
    taken_.push_back(*request);
  }
  return parts;
}

// For developers: the last part of a manifest or grain goes out.
void Delivery::tell_delivered(const BulkRequest& request, uint64_t bytes) {
  std::vector<LogField> fields{
      {"worker", request.peer.brief()}, {"digest", request.digest.hex()}, {"bytes", bytes}};
  if (request.grain) {
    const GrainId& id = request.grain->grain;
    fields.insert(fields.end(), {{"layer", id.layer}, {"expert", id.expert}, {"grain", id.grain}});
  }
  notices_.add(request.grain ? "delivered a grain" : "delivered the manifest", LogLevel::kDebug,
               std::move(fields));
}

void Delivery::not_sent(const OutgoingMessage& message, bool gone) {
  const auto* data = std::get_if<BulkData>(&message.message);
  if (data == nullptr) return;
  auto request = std::find_if(taken_.begin(), taken_.end(), [&](const BulkRequest& taken) {
    return taken.peer == message.peer && taken.digest == data->digest &&
           taken.offset == data->offset;
  });
  if (request == taken_.end()) return;
  // The part was counted when it was taken; its own length went away with the message.
  bytes_delivered_ -= std::min<uint64_t>(
      bytes_delivered_, std::min<uint64_t>(request->length, data->total - data->offset));
  if (gone) {
    queue_.forget(message.peer);
  } else {
    queue_.put_back(*request, clock_.now() + BulkQueue::kFullPause);
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
                           request.digest.hex(), manifest_digest_.hex()),
               LogLevel::kInfo,
               {{"worker", request.peer.brief()}, {"digest", request.digest.hex()}});
  return {};
}

ByteSpan Delivery::grain_content(const FetchGrain& fetch) {
  GrainId id = fetch.grain;
  std::string name =
      fmt::format("grain {} of expert {} in layer {}", id.grain, id.expert, id.layer);
  // The place says what to cut and the digest what must come of it. Both are the peer's, and only a
  // pair that the manifest has leads to reading the file.
  if (!manifest_.contains(id) || manifest_.digest_of(id) != fetch.digest) {
    notices_.add(fmt::format("{} was asked for as {}, which the manifest does not say", name,
                             fetch.digest.hex()),
                 LogLevel::kWarning, {{"digest", fetch.digest.hex()}});
    return {};
  }
  Result<ByteSpan> grain = cache_->grain(id);
  if (grain) return *grain;
  // Every worker that lacks it asks again now and then.
  bool others = grain.error().code == ErrorCode::kNotFound;
  notices_.add(fmt::format("{} cannot be delivered: {}", name, grain.error().message),
               others ? LogLevel::kDebug : LogLevel::kWarning,
               {{"layer", id.layer}, {"expert", id.expert}, {"grain", id.grain}});
  return {};
}

}  // namespace potluck
