#include "tools/link_shaper/host_switch.h"

#include <algorithm>
#include <utility>

namespace potluck::link_shaper {
namespace {

constexpr size_t kLeastQueueBytes = 65536;
// On their way at the same time: a long delay without a rate would take any amount.
constexpr size_t kMostCarriedBytes = 256u << 20;
constexpr size_t kRememberedConnections = 8192;

// Zero where there is no bound.
Duration time_for(double bytes, double rate) {
  if (rate <= 0) return Duration{0};
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(bytes / rate));
}

// Whether so much as waits for a wire is more than its queue holds.
bool is_full(const Link& link, double rate, Duration waiting) {
  return waiting > std::max(link.queue, time_for(kLeastQueueBytes, rate));
}

}  // namespace

HostSwitch::HostSwitch(std::vector<Link> links, uint64_t seed)
    : ports_(links.size()), last_due_(links.size() * links.size()), random_(seed) {
  for (size_t i = 0; i < links.size(); ++i) ports_[i].link = links[i];
}

void HostSwitch::set_state(size_t host, LinkState state, TimePoint now) {
  Port& port = ports_[host];
  port.state = state;
  if (state == LinkState::kUp) return;
  ++port.life;
  port.free_up = port.free_down = now;
  if (state == LinkState::kReset) reset_connections(host, now);
}

void HostSwitch::take(size_t from, Frame frame, TimePoint now) {
  auto destination = destination_of(frame);
  bool known = destination && (destination->everyone || destination->host < hosts());
  if (!known || carried_bytes_ >= kMostCarriedBytes) {
    ++ports_[from].counts.dropped;
    return;
  }
  if (!destination->everyone) {
    if (refused(from, destination->host, frame, now)) return;
    remember(from, destination->host, frame);
  }
  Port& sender = ports_[from];
  if (sender.state != LinkState::kUp || lost(sender.link.loss)) {
    ++sender.counts.lost;
    return;
  }
  if (is_full(sender.link, sender.link.up, sender.free_up - now)) {
    ++sender.counts.dropped;
    return;
  }
  ++sender.counts.sent;
  Duration carrying = time_for(static_cast<double>(wire_bytes(frame)), sender.link.up);
  TimePoint begin = std::max(sender.free_up, now);
  TimePoint at = sender.free_up = begin + carrying;
  if (!destination->everyone) {
    send_through(from, destination->host, std::move(frame), begin, at);
    return;
  }
  for (size_t to = 0; to < hosts(); ++to) {
    if (to != from) send_through(from, to, frame, begin, at);
  }
}

// From the switch on. The second wire carries a frame while it comes in from the first one, from
// `begin` to `at`: only a slower wire, or other senders, hold it up there.
void HostSwitch::send_through(size_t from, size_t to, Frame frame, TimePoint begin, TimePoint at) {
  Port& receiver = ports_[to];
  if (receiver.state != LinkState::kUp || lost(receiver.link.loss)) {
    ++receiver.counts.lost;
    return;
  }
  if (is_full(receiver.link, receiver.link.down, receiver.free_down - at)) {
    ++receiver.counts.dropped;
    return;
  }
  Duration carrying = time_for(static_cast<double>(wire_bytes(frame)), receiver.link.down);
  receiver.free_down = std::max(receiver.free_down, begin) + carrying;
  at = std::max(at, receiver.free_down);
  for (const Port* port : {&ports_[from], &receiver}) {
    at += port->link.delay;
    if (port->link.jitter > Duration{0}) {
      at += time_for(chance_(random_) * in_seconds(port->link.jitter), 1);
    }
  }
  TimePoint& last = last_due_[from * hosts() + to];
  last = std::max(last, at);
  carry(from, to, std::move(frame), last);
}

void HostSwitch::carry(size_t from, size_t to, Frame frame, TimePoint at) {
  carried_bytes_ += frame.size();
  carried_.push_back(
      {at, next_number_++, from, to, ports_[from].life, ports_[to].life, std::move(frame)});
  std::push_heap(carried_.begin(), carried_.end(), Later());
}

std::optional<TimePoint> HostSwitch::next_due() const {
  if (carried_.empty()) return std::nullopt;
  return carried_.front().due;
}

std::optional<HostSwitch::Delivery> HostSwitch::next(TimePoint now) {
  while (!carried_.empty() && carried_.front().due <= now) {
    std::pop_heap(carried_.begin(), carried_.end(), Later());
    Carried next = std::move(carried_.back());
    carried_.pop_back();
    carried_bytes_ -= next.frame.size();
    LinkCounts& counts = ports_[next.to].counts;
    bool alive = next.from_life == ports_[next.from].life && next.to_life == ports_[next.to].life;
    if (!alive) {
      ++counts.lost;
      continue;
    }
    ++counts.received;
    counts.received_bytes += wire_bytes(next.frame);
    return Delivery{next.to, std::move(next.frame)};
  }
  return std::nullopt;
}

// Whether a link on the frame's way resets connections.
bool HostSwitch::refused(size_t from, size_t to, const Frame& frame, TimePoint now) {
  bool reset = ports_[from].state == LinkState::kReset || ports_[to].state == LinkState::kReset;
  if (!reset) return false;
  ++ports_[from].counts.lost;
  deliver_reset(from, frame, now);
  return true;
}

void HostSwitch::remember(size_t from, size_t to, const Frame& frame) {
  auto end = sender_of(frame);
  if (!end || !reset_for(frame)) return;
  if (last_segments_.size() >= kRememberedConnections) last_segments_.clear();
  std::span<const uint8_t> headers = headers_of(frame);
  last_segments_[*end] = {from, to, Frame(headers.begin(), headers.end())};
}

void HostSwitch::reset_connections(size_t host, TimePoint now) {
  std::erase_if(last_segments_, [&](const auto& entry) {
    const LastSegment& last = entry.second;
    if (last.from != host && last.to != host) return false;
    deliver_reset(last.from, last.headers, now);
    return true;
  });
}

// At once, and from nobody: no link holds it up.
void HostSwitch::deliver_reset(size_t to, std::span<const uint8_t> to_segment, TimePoint now) {
  if (auto reset = reset_for(to_segment)) carry(to, to, std::move(*reset), now);
}

}  // namespace potluck::link_shaper
