// A worker's transport: one DEALER for each coordinator or serving worker and channel, and, if it
// serves grains, a ZmqServerTransport for them. receive() takes from compute sockets first; the
// other sockets are looked at when there is nothing for compute, and once in a while in any case.
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "protocol/listen_address.h"
#include "protocol/peer_text.h"
#include "protocol/zmq_socket.h"
#include "protocol/zmq_transport.h"

namespace potluck {
namespace {

constexpr int kLinkEvents =
    ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED;

}  // namespace

struct ZmqClientTransport::State {
  // One channel to one coordinator or serving worker. The monitor ends before the socket it
  // watches.
  struct Link {
    PeerKey server;
    Channel channel = Channel::kCompute;
    zmq::socket_t socket;
    ZmqWatch watch;
    std::unique_ptr<ZmqMonitor> monitor;
    LinkState state = LinkState::kConnecting;
  };

  explicit State(const CurveKeyPair& own_keys) : keys(own_keys), context(make_zmq_context()) {}

  using Links = std::vector<std::unique_ptr<Link>>;

  Links::iterator find(const PeerKey& server, Channel channel) {
    return std::find_if(links.begin(), links.end(), [&](const auto& link) {
      return link->server == server && link->channel == channel;
    });
  }
  static void note_events(Link& link);
  std::optional<Envelope> take(Link& link);
  std::optional<Envelope> take_any(Channel channel);
  std::optional<Envelope> take_served();
  std::optional<Envelope> look_around();
  bool wait(TimePoint deadline);

  SystemClock clock;
  CurveKeyPair keys;
  zmq::context_t context;
  Links links;
  std::unique_ptr<ZmqServerTransport> serving;  // or null
  size_t next_link = 0;  // where the next look begins: no link is served twice in a row
  uint64_t receives = 0;
  uint64_t opened = 0;  // gives every monitor its own name
  uint64_t compute_bytes = 0;
};

void ZmqClientTransport::State::note_events(Link& link) {
  while (auto event = link.monitor->next()) {
    if (*event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) link.state = LinkState::kConnected;
    if (*event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) link.state = LinkState::kRefused;
    // A refused connection is also disconnected afterwards; it has to stay known as refused.
    if (*event == ZMQ_EVENT_DISCONNECTED && link.state == LinkState::kConnected) {
      link.state = LinkState::kConnecting;
    }
  }
}

std::optional<Envelope> ZmqClientTransport::State::take(Link& link) {
  for (int i = 0; i < kSkippedAtOnce && link.watch.may_have_message; ++i) {
    auto received = zmq_receive(link.socket, false);
    link.watch.may_have_message = received.has_value();
    if (!received) return std::nullopt;
    if (!received->two_frames) continue;
    if (link.channel == Channel::kCompute) compute_bytes += received->frames.bytes();
    return Envelope{link.server, link.channel, std::move(received->frames)};
  }
  return std::nullopt;
}

std::optional<Envelope> ZmqClientTransport::State::take_any(Channel channel) {
  size_t first = next_link;
  for (size_t i = 0; i < links.size(); ++i) {
    size_t index = (first + i) % links.size();
    if (links[index]->channel != channel) continue;
    auto envelope = take(*links[index]);
    if (!envelope) continue;
    next_link = index + 1;
    return envelope;
  }
  return std::nullopt;
}

// What other workers ask for. Their handshakes are answered here, too.
std::optional<Envelope> ZmqClientTransport::State::take_served() {
  if (serving == nullptr) return std::nullopt;
  std::optional<Envelope> envelope = serving->receive({});
  if (envelope) envelope->channel = Channel::kServe;
  return envelope;
}

// A message of another channel than compute; every second time, what other workers ask of us goes
// first.
std::optional<Envelope> ZmqClientTransport::State::look_around() {
  if (receives / kReceivesPerLookAround % 2 == 0) {
    if (auto envelope = take_served()) return envelope;
  }
  for (const auto& link : links) {
    if (link->channel != Channel::kCompute) link->watch.may_have_message = true;
  }
  for (Channel channel : {Channel::kJoin, Channel::kBulk}) {
    if (auto envelope = take_any(channel)) return envelope;
  }
  return std::nullopt;
}

bool ZmqClientTransport::State::wait(TimePoint deadline) {
  std::vector<ZmqWatch*> watches;
  for (const auto& link : links) {
    note_events(*link);  // an unread monitor would eventually block libzmq's thread
    watches.push_back(&link->watch);
    watches.push_back(&link->monitor->watch());
  }
  if (serving != nullptr) serving->add_watches(&watches);
  if (!zmq_wait(watches, clock.now(), deadline)) return false;
  // What came for compute while another channel woke us goes first.
  for (const auto& link : links) {
    if (link->channel == Channel::kCompute) link->watch.may_have_message = true;
  }
  return true;
}

ZmqClientTransport::ZmqClientTransport(const CurveKeyPair& keys)
    : state_(std::make_unique<State>(keys)) {}
ZmqClientTransport::~ZmqClientTransport() = default;

Status ZmqClientTransport::connect(const PeerKey& server, Channel channel,
                                   const std::string& endpoint) {
  Status fits = check_endpoint(endpoint);
  if (!fits) return fits;
  disconnect(server, channel);
  bool ipv6 = endpoint.find('[') != std::string::npos;
  auto socket = open_zmq_socket(state_->context, {channel, ipv6, state_->keys, server});
  if (!socket) return socket.error();
  // Watched before it connects, else the first events could be missed.
  auto monitor = ZmqMonitor::watch(state_->context, *socket,
                                   fmt::format("link-monitor-{}", state_->opened++), kLinkEvents);
  if (!monitor) return monitor.error();
  Status connected =
      zmq_attempt("cannot connect to " + endpoint, [&] { socket->connect(endpoint); });
  if (!connected) return connected;
  auto link = std::make_unique<State::Link>();
  link->server = server;
  link->channel = channel;
  link->socket = std::move(*socket);
  link->watch = ZmqWatch(link->socket);
  link->monitor = std::move(*monitor);
  state_->links.push_back(std::move(link));
  return {};
}

void ZmqClientTransport::disconnect(const PeerKey& server) {
  for (Channel channel : {Channel::kCompute, Channel::kBulk, Channel::kJoin}) {
    disconnect(server, channel);
  }
}

Result<std::string> ZmqClientTransport::serve(const std::string& host, uint16_t port,
                                              const AllowList& allow_list,
                                              const std::string& advertised_host) {
  ZmqServerTransport::Options options{state_->keys, endpoint_host(host), advertised_host, port,
                                      true};
  auto server = ZmqServerTransport::listen(options, allow_list);
  if (!server) return server.error();
  state_->serving = std::move(*server);
  return state_->serving->bulk_endpoint();
}

void ZmqClientTransport::disconnect(const PeerKey& server, Channel channel) {
  auto link = state_->find(server, channel);
  if (link != state_->links.end()) state_->links.erase(link);
}

Status ZmqClientTransport::send(const PeerKey& peer, Channel channel, Frames frames) {
  Error gone{ErrorCode::kNotFound, fmt::format("peer {} is not connected", peer.brief())};
  if (channel == Channel::kServe) {
    if (state_->serving == nullptr) return gone;
    return state_->serving->send(peer, Channel::kBulk, std::move(frames));
  }
  auto link = state_->find(peer, channel);
  if (link == state_->links.end()) return gone;
  uint64_t bytes = frames.bytes();
  ZmqSent sent = zmq_send_frames((*link)->socket, {}, frames);
  (*link)->watch.may_have_message = true;
  if (sent == ZmqSent::kYes) {
    if (channel == Channel::kCompute) state_->compute_bytes += bytes;
    return {};
  }
  // A DEALER says "try again" for a full queue and for a connection that is not there; its monitor
  // knows which.
  if (link_state(peer, channel) != LinkState::kConnected) return gone;
  return Error{ErrorCode::kLimit, fmt::format("the queue to {} is full", peer.brief())};
}

std::optional<Envelope> ZmqClientTransport::receive(Duration timeout) {
  if (++state_->receives % kReceivesPerLookAround == 0) {
    if (auto other = state_->look_around()) return other;
  }
  // Costs no system call while messages are queued.
  if (auto envelope = state_->take_any(Channel::kCompute)) return envelope;
  TimePoint deadline = state_->clock.now() + std::min<Duration>(timeout, std::chrono::hours(1));
  while (state_->wait(deadline)) {
    for (Channel channel : {Channel::kCompute, Channel::kJoin, Channel::kBulk}) {
      if (auto envelope = state_->take_any(channel)) return envelope;
    }
    if (auto envelope = state_->take_served()) return envelope;
    // A useless message is no reason to return early.
    if (state_->clock.now() >= deadline) break;
  }
  return std::nullopt;
}

uint64_t ZmqClientTransport::compute_bytes() const {
  return state_->compute_bytes;
}

LinkState ZmqClientTransport::link_state(const PeerKey& server, Channel channel) {
  auto link = state_->find(server, channel);
  if (link == state_->links.end()) return LinkState::kClosed;
  (*link)->monitor->watch().may_have_message = true;
  State::note_events(**link);
  return (*link)->state;
}

}  // namespace potluck
