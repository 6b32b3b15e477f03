#include "tests/sim/sim_network.h"

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

Status SimNetwork::send(const PeerKey& from, const PeerKey& to, Channel channel, Frames frames) {
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
  TimePoint& last = last_due_[{from, to, channel}];
  sent.due = std::max(last, clock_.now() + draw_delay(sent));
  last = sent.due;
  queue_.push(std::move(sent));
  return {};
}

// Every packet that is lost holds up what follows it on its stream for a round trip.
Duration SimNetwork::resending(const NetworkMessage& sent) const {
  if (options_.loss <= 0) return Duration{0};
  constexpr uint64_t kPacketBytes = 1460;
  Duration delay{0};
  uint64_t packets = 1 + sent.frames.bytes() / kPacketBytes;
  for (uint64_t i = 0; i < packets; ++i) {
    bool lost = random_.uniform(sent.number, 1 + i) < options_.loss;
    if (lost) delay += 2 * options_.least_delay;
  }
  return delay;
}

Duration SimNetwork::draw_delay(const NetworkMessage& sent) {
  double uniform = random_.uniform(sent.number);
  double waited = -std::log1p(-uniform) * static_cast<double>(options_.mean_delay.count());
  uint64_t transfer = sent.frames.bytes() * 1'000'000'000 / options_.bytes_per_second;
  Duration carried(static_cast<int64_t>(transfer));
  if (options_.one_wire) {
    TimePoint& free_at = ways_[{sent.from, sent.to}].free_at;
    free_at = std::max(free_at, clock_.now()) + carried;
    carried = free_at - clock_.now();
  }
  return options_.least_delay + Duration(static_cast<int64_t>(waited)) + carried + resending(sent);
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
  if (receiver.frozen_until > clock_.now()) {
    // The numbers keep the order among what waits for the thaw.
    sent.due = receiver.frozen_until;
    queue_.push(std::move(sent));
    return std::nullopt;
  }
  return sent;
}

}  // namespace potluck::sim
