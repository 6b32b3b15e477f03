#include "protocol/bulk_queue.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// A worker asks for a window of grains at a time; far more than that is no window.
constexpr size_t kRequestsPerPeer = 256;
constexpr size_t kRequestsInTotal = 16 * 1024;

}  // namespace

bool BulkQueue::add(const PeerKey& peer, const FetchManifest& fetch) {
  return add(BulkRequest{peer, fetch.manifest, std::nullopt, 0});
}

bool BulkQueue::add(const PeerKey& peer, const FetchGrain& fetch) {
  return add(BulkRequest{peer, fetch.digest, fetch, 0});
}

bool BulkQueue::add(BulkRequest request) {
  auto queued = queued_.find(request.peer);
  if (queued != queued_.end() && queued->second >= kRequestsPerPeer) return false;
  if (requests_.size() >= kRequestsInTotal) return false;
  // Asked again before it was answered: one answer will do.
  for (const BulkRequest& waiting : requests_) {
    if (waiting.peer == request.peer && waiting.digest == request.digest) return true;
  }
  ++queued_[request.peer];
  requests_.push_back(std::move(request));
  return true;
}

void BulkQueue::forget(const PeerKey& peer) {
  std::erase_if(requests_, [&](const BulkRequest& request) { return request.peer == peer; });
  queued_.erase(peer);
}

BulkPart BulkQueue::next(const std::function<ByteSpan(const BulkRequest&)>& content) {
  CHECK(!requests_.empty());
  BulkRequest& request = requests_.front();
  ByteSpan whole = content(request);
  // The same grain is as long each time, or could not be had this time.
  ByteSpan bytes = whole.subspan(std::min<uint64_t>(request.offset, whole.size()));
  bytes = bytes.first(std::min<uint64_t>(bytes.size(), limits::kBulkPartBytes));
  BulkPart part;
  part.peer = request.peer;
  part.manifest = !request.grain.has_value();
  part.data = {request.digest,
               !whole.empty(),
               std::min<uint64_t>(request.offset, whole.size()),
               whole.size(),
               {}};
  part.bytes.assign(bytes.begin(), bytes.end());
  request.offset += bytes.size();
  if (request.offset < whole.size()) return part;
  if (--queued_[request.peer] == 0) queued_.erase(request.peer);
  requests_.pop_front();
  return part;
}

}  // namespace potluck
