#include "worker/grain_server.h"

namespace potluck {

void GrainServer::on_fetch(const PeerKey& peer, const FetchGrain& fetch, uint64_t grain_bytes) {
  if (!queue_.add(peer, fetch)) return;
  // Only what a manifest names, as long as it says, is remembered: a peer cannot fill the set.
  if (store_.contains(fetch.digest, grain_bytes)) granted_.emplace(peer, fetch.digest);
}

void GrainServer::forget(const PeerKey& peer) {
  queue_.forget(peer);
  std::erase_if(granted_, [&](const auto& grant) { return grant.first == peer; });
}

ByteSpan GrainServer::content(const BulkRequest& request) {
  if (!granted_.contains({request.peer, request.digest})) return {};
  if (request.digest == loaded_ && !grain_.empty()) return grain_;
  grain_.clear();
  auto place = store_.find(request.digest);
  if (!place) return {};
  grain_.resize(place->bytes);
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
    granted_.clear();
    grain_ = {};
  }
  return part;
}

std::optional<TimePoint> GrainServer::next_tick(TimePoint now) const {
  if (queue_.empty()) return std::nullopt;
  return pacer_.next(now);
}

}  // namespace potluck
