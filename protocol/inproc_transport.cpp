// Behaves like the ZeroMQ transports where a loop could tell the difference: compute messages
// first, other channels heard after a while, senders in turn, full queues and vanished peers as
// errors.
#include "protocol/inproc_transport.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {
namespace {

// Far more than a test has in flight; a core that floods its peer is noticed.
constexpr size_t kQueueLength = 64 * 1024;
// After so many messages of kCompute another channel is heard.
constexpr uint32_t kUrgentInARow = 16;

}  // namespace

std::unique_ptr<InprocTransport> InprocNetwork::endpoint(const PeerKey& key) {
  CHECK(!inboxes_.contains(key));
  inboxes_[key];
  return std::unique_ptr<InprocTransport>(new InprocTransport(*this, key));
}

InprocTransport::InprocTransport(InprocNetwork& network, const PeerKey& key)
    : network_(network), key_(key) {}

InprocTransport::~InprocTransport() {
  network_.inboxes_.erase(key_);
}

Status InprocTransport::send(const PeerKey& peer, Channel channel, Frames frames) {
  auto inbox = network_.inboxes_.find(peer);
  if (inbox == network_.inboxes_.end()) {
    return Error{ErrorCode::kNotFound, "peer " + peer.brief() + " is not connected"};
  }
  std::deque<Envelope>& queue = inbox->second.senders[key_];
  if (queue.size() >= kQueueLength) {
    return Error{ErrorCode::kLimit, "the queue to peer " + peer.brief() + " is full"};
  }
  if (channel == Channel::kCompute) compute_bytes_ += frames.bytes();
  queue.push_back({key_, channel, std::move(frames)});
  return {};
}

std::optional<Envelope> InprocTransport::receive(Duration timeout) {
  std::optional<Envelope> envelope = take();
  if (!envelope && timeout > Duration::zero() && network_.idle_) {
    network_.idle_(timeout);
    envelope = take();
  }
  if (envelope && envelope->channel == Channel::kCompute) {
    compute_bytes_ += envelope->frames.bytes();
  }
  return envelope;
}

std::optional<Envelope> InprocTransport::take() {
  uint32_t& in_a_row = network_.inboxes_.at(key_).urgent_in_a_row;
  bool compute_first = in_a_row < kUrgentInARow;
  std::optional<Envelope> envelope = take(compute_first);
  if (!envelope) envelope = take(!compute_first);
  bool compute = envelope && envelope->channel == Channel::kCompute;
  in_a_row = compute && compute_first ? in_a_row + 1 : 0;
  return envelope;
}

// The next message of kCompute, or of any other channel, of the sender that comes after the last.
std::optional<Envelope> InprocTransport::take(bool compute) {
  InprocNetwork::Inbox& inbox = network_.inboxes_.at(key_);
  auto sender = inbox.senders.upper_bound(inbox.last);
  for (size_t i = 0; i < inbox.senders.size(); ++i, ++sender) {
    if (sender == inbox.senders.end()) sender = inbox.senders.begin();
    std::deque<Envelope>& queue = sender->second;
    auto next = std::find_if(queue.begin(), queue.end(), [&](const Envelope& envelope) {
      return (envelope.channel == Channel::kCompute) == compute;
    });
    if (next == queue.end()) continue;
    Envelope envelope = std::move(*next);
    queue.erase(next);
    inbox.last = sender->first;
    return envelope;
  }
  return std::nullopt;
}

}  // namespace potluck
