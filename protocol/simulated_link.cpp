#include "protocol/simulated_link.h"

#include <fmt/format.h>

namespace potluck {

bool SimulatedLink::Way::has_room(const Frames& frames) const {
  return frames.bytes() <= kMostHeldBytes && held_bytes_ <= kMostHeldBytes - frames.bytes();
}

void SimulatedLink::Way::push(Envelope envelope, TimePoint now) {
  uint64_t bytes = envelope.frames.bytes();
  held_bytes_ += bytes;
  // Every message is charged to all_, but an urgent one waits only for the urgent ones before it.
  // That is how two streams of a real link behave: bulk data pays for the compute messages that
  // pass it.
  TimePoint through = all_.through(now, bytes);
  if (envelope.channel == Channel::kBulk || envelope.channel == Channel::kServe) {
    bulk_messages_.push_back({std::move(envelope), through + delay_});
  } else {
    through = urgent_.through(now, bytes);
    urgent_messages_.push_back({std::move(envelope), through + delay_});
  }
}

std::optional<Envelope> SimulatedLink::Way::pop(TimePoint now) {
  for (std::deque<Held>* messages : {&urgent_messages_, &bulk_messages_}) {
    if (messages->empty() || messages->front().arrival > now) continue;
    Envelope envelope = std::move(messages->front().envelope);
    messages->pop_front();
    held_bytes_ -= envelope.frames.bytes();
    return envelope;
  }
  return std::nullopt;
}

TimePoint SimulatedLink::Way::next_arrival() const {
  TimePoint next = TimePoint::max();
  for (const std::deque<Held>* messages : {&urgent_messages_, &bulk_messages_}) {
    if (!messages->empty()) next = std::min(next, messages->front().arrival);
  }
  return next;
}

SimulatedLink::SimulatedLink(Transport& real, const LinkSpec& link, IsConnected connected,
                             const Clock& clock)
    : real_(real),
      connected_(std::move(connected)),
      clock_(clock),
      outgoing_(link),
      incoming_(link) {}

Status SimulatedLink::send(const PeerKey& peer, Channel channel, Frames frames) {
  TimePoint now = clock_.now();
  send_due(now);
  if (!connected_(peer, channel)) {
    return Error{ErrorCode::kNotFound, fmt::format("{} is not connected", peer.brief())};
  }
  if (!outgoing_.has_room(frames)) {
    return Error{ErrorCode::kLimit, fmt::format("the link to {} is full", peer.brief())};
  }
  outgoing_.push({peer, channel, std::move(frames)}, now);
  return {};
}

void SimulatedLink::send_due(TimePoint now) {
  while (auto envelope = outgoing_.pop(now)) {
    // The peer may have gone while the message was on its way; then it is lost, as on a real link.
    (void)real_.send(envelope->peer, envelope->channel, std::move(envelope->frames));
  }
}

// Puts all that has really arrived on its simulated way, waiting for the first up to `timeout`.
// What finds the queue full is lost, as at any router.
void SimulatedLink::take_arrived(Duration timeout) {
  for (auto envelope = real_.receive(timeout); envelope; envelope = real_.receive({})) {
    if (incoming_.has_room(envelope->frames)) incoming_.push(std::move(*envelope), clock_.now());
  }
}

std::optional<Envelope> SimulatedLink::receive(Duration timeout) {
  TimePoint deadline = clock_.now() + std::min<Duration>(timeout, std::chrono::hours(1));
  take_arrived({});
  for (;;) {
    TimePoint now = clock_.now();
    send_due(now);
    if (auto envelope = incoming_.pop(now)) return envelope;
    if (now >= deadline) return std::nullopt;
    TimePoint next = std::min(outgoing_.next_arrival(), incoming_.next_arrival());
    take_arrived(std::min(deadline, next) - now);
  }
}

void SimulatedLink::finish_sending(Duration timeout) {
  TimePoint deadline = clock_.now() + timeout;
  for (TimePoint now = clock_.now(); now < deadline; now = clock_.now()) {
    send_due(now);
    if (outgoing_.empty()) return;
    take_arrived(std::min(deadline, outgoing_.next_arrival()) - now);
  }
}

}  // namespace potluck
