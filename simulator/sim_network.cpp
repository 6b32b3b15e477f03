#include "simulator/sim_network.h"

#include <algorithm>
#include <cmath>

namespace potluck::sim {

SimNetwork::SimNetwork(const ManualClock& clock, uint64_t seed, const LinkOptions& options)
    : clock_(clock), random_(seed), options_(options) {}

void SimNetwork::attach(const PeerKey& key) {
  Endpoint& endpoint = endpoints_[key];
  ++endpoint.life;
  endpoint.listening = true;
  endpoint.quiet = false;
  endpoint.frozen_until = TimePoint{0};
  drop_connections(key);  // of its former life
}

void SimNetwork::detach(const PeerKey& key, bool quietly) {
  endpoints_[key].listening = false;
  endpoints_[key].quiet = quietly;
  if (!quietly) drop_connections(key);
}

void SimNetwork::drop_connections(const PeerKey& key) {
  std::erase_if(connected_, [&](const Connection& connection) {
    return std::get<0>(connection) == key || std::get<1>(connection) == key;
  });
}

void SimNetwork::freeze(const PeerKey& key, TimePoint until) {
  endpoints_[key].frozen_until = until;
}

void SimNetwork::connect(const PeerKey& worker, const PeerKey& server, Channel channel) {
  connected_.emplace(worker, server, channel);
}

void SimNetwork::disconnect(const PeerKey& worker, const PeerKey& server) {
  std::erase_if(connected_, [&](const Connection& connection) {
    return std::get<0>(connection) == worker && std::get<1>(connection) == server;
  });
}

void SimNetwork::disconnect(const PeerKey& worker, const PeerKey& server, Channel channel) {
  connected_.erase({worker, server, channel});
}

bool SimNetwork::listening(const PeerKey& key) const {
  auto found = endpoints_.find(key);
  return found != endpoints_.end() && found->second.listening;
}

void SimNetwork::listen_at(const PeerKey& key, std::set<std::string> endpoints) {
  endpoints_[key].places = std::move(endpoints);
}

bool SimNetwork::listens_at(const PeerKey& key, const std::string& endpoint) const {
  if (!listening(key)) return false;
  const std::set<std::string>& places = endpoints_.at(key).places;
  return places.empty() || places.contains(endpoint);
}

void SimNetwork::sever(const PeerKey& a, const PeerKey& b) {
  severed_.emplace(std::min(a, b), std::max(a, b));
}

bool SimNetwork::severed(const PeerKey& a, const PeerKey& b) const {
  return severed_.contains({std::min(a, b), std::max(a, b)});
}

SimNetwork::Cuts SimNetwork::cuts(const PeerKey& a, const PeerKey& b) const {
  auto found = cuts_.find({std::min(a, b), std::max(a, b)});
  return found == cuts_.end() ? Cuts{} : found->second;
}

void SimNetwork::cut(const PeerKey& worker, const PeerKey& server, TimePoint until) {
  Cuts& cuts = cuts_[{std::min(worker, server), std::max(worker, server)}];
  ++cuts.count;
  cuts.until = until;
  disconnect(worker, server);
}

uint64_t SimNetwork::bytes_sent(const PeerKey& from, const PeerKey& to) const {
  auto found = ways_.find({from, to});
  return found == ways_.end() ? 0 : found->second.bytes;
}

Status SimNetwork::send(const PeerKey& from, const PeerKey& to, Channel channel, Frames frames,
                        Duration later) {
  const Endpoint& receiver = endpoints_[to];
  if (!receiver.listening && receiver.quiet) return {};
  if (severed(from, to)) return {};
  // What a worker serves comes back on the bulk channel that the other one has opened.
  Channel opened = channel == Channel::kServe ? Channel::kBulk : channel;
  bool link = connected(to, from, opened) || connected(from, to, opened);
  if (!receiver.listening || !link) {
    return Error{ErrorCode::kNotFound, "the simulated peer " + to.brief() + " is not connected"};
  }
  NetworkMessage sent{{},      next_number_++,   from, to, receiver.life, cuts(from, to).count,
                      channel, std::move(frames)};
  if (tamper_) tamper_(sent);
  ways_[{from, to}].bytes += sent.frames.bytes();
  put_under_way(std::move(sent), link_between(from, to), clock_.now() + later);
  return {};
}

void SimNetwork::put_under_way(NetworkMessage sent, const LinkOptions& link, TimePoint start) {
  TimePoint& last = last_due_[{sent.from, sent.to, sent.channel}];
  Duration delay = draw_delay(sent, link, start);
  sent.due = std::max(last, start + delay);
  if (link.duplicated > 0 && random_.uniform(sent.number, 101) < link.duplicated) {
    NetworkMessage again = sent;
    again.due += delay;
    again.number = next_number_++;
    queue_.push(std::move(again));
  }
  // Those behind it are not held up by it.
  bool overtaken = link.overtaken > 0 && random_.uniform(sent.number, 102) < link.overtaken;
  if (overtaken) {
    sent.due += 4 * delay;
  } else {
    last = sent.due;
  }
  queue_.push(std::move(sent));
}

const LinkOptions* SimNetwork::link_of(const PeerKey& key) const {
  auto found = links_.find(key);
  return found == links_.end() ? nullptr : &found->second;
}

LinkOptions SimNetwork::link_between(const PeerKey& a, const PeerKey& b) const {
  const LinkOptions* first = link_of(a);
  const LinkOptions* second = link_of(b);
  if (first != nullptr && second != nullptr) return joined(*first, *second);
  if (first == nullptr && second == nullptr) return options_;
  return first != nullptr ? *first : *second;
}

LinkOptions joined(const LinkOptions& first, const LinkOptions& second) {
  LinkOptions both = first;
  both.least_delay += second.least_delay;
  both.mean_delay += second.mean_delay;
  both.bytes_per_second = std::min(first.bytes_per_second, second.bytes_per_second);
  both.one_wire = first.one_wire || second.one_wire;
  auto either = [](double a, double b) { return 1 - (1 - a) * (1 - b); };
  both.loss = either(first.loss, second.loss);
  both.duplicated = either(first.duplicated, second.duplicated);
  both.overtaken = either(first.overtaken, second.overtaken);
  return both;
}

// Every packet that is lost holds up what follows it on its stream for a round trip.
Duration SimNetwork::resending(const NetworkMessage& sent, const LinkOptions& link) const {
  if (link.loss <= 0) return Duration{0};
  constexpr uint64_t kPacketBytes = 1460;
  uint64_t packets = 1 + sent.frames.bytes() / kPacketBytes;
  Duration delay{0};
  for (uint64_t i = 0; i < packets; ++i) {
    bool lost = random_.uniform(sent.number, 1 + i) < link.loss;
    if (lost) delay += 2 * link.least_delay;
  }
  return delay;
}

// When the last byte is on its way: behind what the same wire or the same air has to carry before.
TimePoint SimNetwork::carried_by(const NetworkMessage& sent, const LinkOptions& link,
                                 TimePoint start) {
  auto time_for = [&](uint64_t rate) {
    return Duration(static_cast<int64_t>(sent.frames.bytes() * 1'000'000'000 / rate));
  };
  const LinkOptions* own[] = {link_of(sent.from), link_of(sent.to)};
  if (own[0] == nullptr && own[1] == nullptr) {
    if (!link.one_wire) return start + time_for(link.bytes_per_second);
    TimePoint& free_at = ways_[{sent.from, sent.to}].free_at;
    free_at = std::max(free_at, start) + time_for(link.bytes_per_second);
    return free_at;
  }
  TimePoint done = start;
  for (size_t side = 0; side < 2; ++side) {
    if (own[side] == nullptr) continue;
    bool out = side == 0;
    TimePoint& free_at =
        own[side]->air != 0 ? airs_[own[side]->air] : wires_[{out ? sent.from : sent.to, out}];
    free_at = std::max(free_at, done) + time_for(own[side]->bytes_per_second);
    done = free_at;
  }
  return done;
}

Duration SimNetwork::draw_delay(const NetworkMessage& sent, const LinkOptions& link,
                                TimePoint start) {
  double uniform = random_.uniform(sent.number);
  double waited = -std::log1p(-uniform) * static_cast<double>(link.mean_delay.count());
  Duration carried = carried_by(sent, link, start) - start;
  return link.least_delay + Duration(static_cast<int64_t>(waited)) + carried +
         resending(sent, link);
}

std::optional<TimePoint> SimNetwork::next_due() const {
  if (queue_.empty()) return std::nullopt;
  return queue_.top().due;
}

std::optional<NetworkMessage> SimNetwork::take_due() {
  if (queue_.empty() || queue_.top().due > clock_.now()) return std::nullopt;
  NetworkMessage sent = queue_.top();
  queue_.pop();
  const Endpoint& receiver = endpoints_[sent.to];
  if (!receiver.listening || receiver.life != sent.life) return std::nullopt;
  if (cuts(sent.from, sent.to).count != sent.cuts) return std::nullopt;
  auto held = held_.find({sent.from, sent.to});
  TimePoint held_until = held == held_.end() ? TimePoint{0} : held->second;
  TimePoint not_before = std::max(receiver.frozen_until, held_until);
  if (not_before > clock_.now()) {
    // The numbers keep the order among what waits for the thaw.
    sent.due = not_before;
    queue_.push(std::move(sent));
    return std::nullopt;
  }
  return sent;
}

}  // namespace potluck::sim
