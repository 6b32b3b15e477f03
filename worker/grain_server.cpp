#include "worker/grain_server.h"

namespace potluck {

void GrainServer::on_fetch(const PeerKey& peer, const FetchGrain& fetch, uint64_t grain_bytes) {
  // Only what a manifest names is remembered: a peer cannot fill the map.
  if (queue_.add(peer, fetch) && grain_bytes > 0) lengths_[fetch.digest] = grain_bytes;
}

ByteSpan GrainServer::content(const BulkRequest& request) {
  if (request.digest == loaded_ && !grain_.empty()) return grain_;
  grain_.clear();
  auto length = lengths_.find(request.digest);
  if (length == lengths_.end() || !store_.contains(request.digest)) return {};
  grain_.resize(length->second);
  loaded_ = request.digest;
  if (!store_.read(request.digest, grain_)) grain_.clear();
  return grain_;
}

std::optional<BulkPart> GrainServer::next(TimePoint now) {
  if (queue_.empty() || !pacer_.may_send(now)) return std::nullopt;
  BulkPart part = queue_.next([this](const BulkRequest& request) { return content(request); });
  pacer_.sent(part.bytes.size(), now);
  bytes_served_ += part.bytes.size();
  if (queue_.empty()) {
    lengths_.clear();
    grain_ = {};
  }
  return part;
}

std::optional<TimePoint> GrainServer::next_tick(TimePoint now) const {
  if (queue_.empty()) return std::nullopt;
  return pacer_.next(now);
}

}  // namespace potluck
