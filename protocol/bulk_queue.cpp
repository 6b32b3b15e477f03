#include "protocol/bulk_queue.h"

#include <algorithm>

#include "engine/base/limits.h"

namespace potluck {
namespace {

// Twice as many as can be members at a time. A request of one more is dropped: receivers ask again
// after silence.
constexpr size_t kMostPeers = size_t{2} * limits::kWorkers;

}  // namespace

BulkPart make_part(const BulkRequest& request, ByteSpan whole) {
  uint64_t offset = std::min<uint64_t>(request.offset, whole.size());
  uint64_t most = std::min<uint64_t>(request.length, limits::kBulkPartBytes);
  ByteSpan bytes = whole.subspan(offset, std::min<uint64_t>(most, whole.size() - offset));
  BulkPart part;
  part.peer = request.peer;
  // An offset at or beyond the end is "not found", too: a part that is found has bytes, so a
  // receiver that asks on from where it is always advances.
  part.data = {request.digest, !bytes.empty(), offset, whole.size(), {}};
  part.bytes.assign(bytes.begin(), bytes.end());
  return part;
}

void BulkQueue::add(const PeerKey& peer, const FetchManifest& fetch) {
  add(BulkRequest{peer, fetch.manifest, std::nullopt, fetch.offset, fetch.length, 0});
}

void BulkQueue::add(const PeerKey& peer, const FetchGrain& fetch, uint64_t total) {
  add(BulkRequest{peer, fetch.digest, fetch, fetch.offset, fetch.length, total});
}

void BulkQueue::add(const BulkRequest& request) {
  auto found = waiting_.find(request.peer);
  if (found == waiting_.end()) {
    if (waiting_.size() >= kMostPeers) return;
    found = waiting_.try_emplace(request.peer).first;
    turns_.push_back(request.peer);
  }
  std::deque<BulkRequest>& requests = found->second.requests;
  std::erase_if(requests, [&](const BulkRequest& older) {
    return older.digest == request.digest && older.offset >= request.offset;
  });
  if (requests.size() >= limits::kBulkPartsAsked) requests.pop_front();
  requests.push_back(request);
  // Some of those put back may just have been erased, so their number is not known any more; from
  // 0, put_back() stays within the queue.
  found->second.returned = 0;
}

void BulkQueue::forget(const PeerKey& peer) {
  if (waiting_.erase(peer) > 0) std::erase(turns_, peer);
}

std::optional<BulkRequest> BulkQueue::take(TimePoint now) {
  for (size_t i = 0; i < turns_.size(); ++i) {
    // Each peer goes to the end of the line before it is looked at, so one that is paused or has
    // much to ask for costs the others nothing.
    PeerKey peer = turns_.front();
    turns_.pop_front();
    turns_.push_back(peer);
    auto waiting = waiting_.find(peer);
    if (waiting->second.not_before > now) continue;
    waiting->second.returned = 0;
    BulkRequest request = waiting->second.requests.front();
    waiting->second.requests.pop_front();
    if (waiting->second.requests.empty()) {
      waiting_.erase(waiting);
      turns_.pop_back();
    }
    return request;
  }
  return std::nullopt;
}

void BulkQueue::put_back(const BulkRequest& request, TimePoint not_before) {
  auto [waiting, fresh] = waiting_.try_emplace(request.peer);
  if (fresh) turns_.push_back(request.peer);
  Waiting& queue = waiting->second;
  queue.not_before = not_before;
  auto place = queue.requests.begin() + static_cast<ptrdiff_t>(queue.returned++);
  queue.requests.insert(place, request);
}

std::optional<TimePoint> BulkQueue::next_turn() const {
  std::optional<TimePoint> next;
  for (const auto& [peer, waiting] : waiting_) {
    if (!next || waiting.not_before < *next) next = waiting.not_before;
  }
  return next;
}

}  // namespace potluck
