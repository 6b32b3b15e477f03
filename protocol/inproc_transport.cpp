#include "protocol/inproc_transport.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {
namespace {

// Far more than a test has in flight; a core that floods its peer is noticed.
constexpr size_t kQueueLength = 64 * 1024;

}  // namespace

std::unique_ptr<InprocTransport> InprocNetwork::endpoint(const PeerKey& key) {
  CHECK(!queues_.contains(key));
  queues_[key];
  return std::unique_ptr<InprocTransport>(new InprocTransport(*this, key));
}

InprocTransport::InprocTransport(InprocNetwork& network, const PeerKey& key)
    : network_(network), key_(key) {}

InprocTransport::~InprocTransport() {
  network_.queues_.erase(key_);
}

Status InprocTransport::send(const PeerKey& peer, Channel channel, Frames frames) {
  auto queue = network_.queues_.find(peer);
  if (queue == network_.queues_.end()) {
    return Error{ErrorCode::kNotFound, "peer " + peer.brief() + " is not connected"};
  }
  if (queue->second.size() >= kQueueLength) {
    return Error{ErrorCode::kLimit, "the queue to peer " + peer.brief() + " is full"};
  }
  if (channel == Channel::kCompute) compute_bytes_ += frames.bytes();
  queue->second.push_back({key_, channel, std::move(frames)});
  return {};
}

std::optional<Envelope> InprocTransport::receive(Duration) {
  std::deque<Envelope>& queue = network_.queues_.at(key_);
  if (queue.empty()) return std::nullopt;
  auto next = std::find_if(queue.begin(), queue.end(), [](const Envelope& envelope) {
    return envelope.channel == Channel::kCompute;
  });
  if (next == queue.end()) next = queue.begin();
  Envelope envelope = std::move(*next);
  queue.erase(next);
  if (envelope.channel == Channel::kCompute) compute_bytes_ += envelope.frames.bytes();
  return envelope;
}

}  // namespace potluck
