// A ROUTER for each channel, the authentication handler, and a gate before each listener. All of it
// is served by the one thread that calls receive(), so handshakes proceed only while it is called:
// it must come back to it within libzmq's handshake time limit (zmq_socket.cpp).
#include <array>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "engine/base/descriptor_limit.h"
#include "engine/base/limits.h"
#include "protocol/accept_hook.h"
#include "protocol/listen_address.h"
#include "protocol/listen_socket.h"
#include "protocol/local_address.h"
#include "protocol/peer_routes.h"
#include "protocol/peer_text.h"
#include "protocol/zmq_auth.h"
#include "protocol/zmq_socket.h"
#include "protocol/zmq_transport.h"

namespace potluck {
namespace {

// Sockets in the order in which they are served.
constexpr std::array kChannels = {Channel::kCompute, Channel::kJoin, Channel::kBulk};
// Members may be connected twice for a moment while they reconnect.
constexpr size_t kRememberedPeers = 2 * limits::kWorkers;

// How often connections that have not authenticated are looked at.
constexpr Duration kSweepInterval = std::chrono::milliseconds(20);
// What libzmq needs besides connections: its threads, sockets and listeners.
constexpr uint64_t kOwnDescriptors = 48;
constexpr size_t kReachedHosts = 64;  // remembered

Status check_hosts(const ZmqServerTransport::Options& options) {
  const std::string& host = options.listen_host;
  bool everywhere = host == "0.0.0.0" || host == "[::]";
  bool good = is_endpoint_host(host) && (!everywhere || !options.advertised_host.empty()) &&
              (options.advertised_host.empty() || is_endpoint_host(options.advertised_host));
  if (good) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("listen address \"{}\": expected one address of this machine",
                           clean_text(host, 80))};
}

// Connections share what the process may open. With few descriptors there are fewer of them; with
// too few we do not start.
Result<GateLimits> gate_limits(Channel channel, size_t listeners) {
  constexpr uint64_t kLeast = 8;  // connections per listener, to be of any use
  Status enough = require_descriptors(
      limits::kReservedDescriptors + kOwnDescriptors + listeners * kLeast, "listening for workers");
  if (!enough) return enough.error();
  uint64_t room = (free_descriptors() - limits::kReservedDescriptors - kOwnDescriptors) / listeners;
  GateLimits gate;
  gate.guests = std::min<uint64_t>(limits::kGuestConnections, room / 2);
  gate.members = std::min<uint64_t>(limits::kMemberConnections, room - gate.guests);
  gate.guest_bytes = limits::kGuestBytes;
  gate.backlog_bytes = zmq_backlog_bytes(channel);
  if (channel != Channel::kJoin) return gate;
  // A joining device is a stranger until it has joined, and then has nothing more to say here.
  gate.members = 0;
  gate.guest_bytes = limits::kJoinStreamBytes;
  gate.lifetime_bytes = limits::kJoinStreamBytes;
  return gate;
}

}  // namespace

struct ZmqServerTransport::State {
  // One channel's socket.
  struct Listener {
    zmq::socket_t socket;
    std::shared_ptr<ConnectionGate> gate;
    std::unique_ptr<GuardedListener> guard;  // ends before the socket
    ZmqWatch watch;
    std::string endpoint;
    PeerRoutes routes{kRememberedPeers};

    bool open() const { return socket.handle() != nullptr; }
  };

  State(zmq::context_t zmq_context, ZapHandler handler, const AllowList& list)
      : context(std::move(zmq_context)),
        zap(std::move(handler)),
        zap_watch(zap.socket()),
        allow_list(list),
        policy(list) {}

  Listener& listener(Channel channel) { return listeners[static_cast<size_t>(channel)]; }
  Status open(const Options& options);
  Status open_channel(const Options& options, Channel channel);
  Status bind(const Options& options, Channel channel, Listener* opened);
  void serve_handshakes();
  void sweep_gates();
  void note_reached_host(const PeerKey& key, const ZmqReceived& received);
  std::optional<Envelope> take(Channel channel);
  std::optional<Envelope> look_around();
  std::optional<PeerKey> sender(Channel channel, const ZmqReceived& received) const;
  void add_watches(std::vector<ZmqWatch*>* watches);
  bool wait(TimePoint deadline, std::optional<Envelope>* envelope);

  SystemClock clock;
  zmq::context_t context;
  ZapHandler zap;
  ZmqWatch zap_watch;
  const AllowList& allow_list;
  HandshakePolicy policy;
  std::array<Listener, 3> listeners;  // by channel
  std::string advertised_host;
  std::map<PeerKey, std::string> reached_hosts;  // by the key that joins
  TimePoint swept_at{0};
  uint64_t receives = 0;
  uint64_t dropped = 0;
  uint64_t compute_bytes = 0;
  std::vector<uint16_t> missed_ports;
};

Status ZmqServerTransport::State::open(const Options& options) {
  Status good = check_hosts(options);
  if (!good) return good;
  advertised_host = options.advertised_host.empty() ? options.listen_host : options.advertised_host;
  for (Channel channel : {Channel::kJoin, Channel::kCompute, Channel::kBulk}) {
    if (options.only_bulk && channel != Channel::kBulk) continue;
    Status opened = open_channel(options, channel);
    if (!opened) return opened;
  }
  return {};
}

Status ZmqServerTransport::State::open_channel(const Options& options, Channel channel) {
  auto limits = gate_limits(channel, options.only_bulk ? 1 : kChannels.size());
  if (!limits) return limits.error();
  ZmqSocketRole role{channel, options.listen_host.front() == '[', options.keys, std::nullopt};
  auto socket = open_zmq_socket(context, role);
  if (!socket) return socket.error();
  Listener& opened = listener(channel);
  opened.socket = std::move(*socket);
  opened.watch = ZmqWatch(opened.socket);
  opened.gate = std::make_shared<ConnectionGate>(*limits);
  return bind(options, channel, &opened);
}

// The two ports behind a chosen one, so that workers find a coordinator that restarts; any others
// if those are taken.
Status ZmqServerTransport::State::bind(const Options& options, Channel channel, Listener* opened) {
  uint32_t port = options.port;
  if (port != 0 && channel == Channel::kCompute) port += 1;
  if (port != 0 && channel == Channel::kBulk && !options.only_bulk) port += 2;
  auto socket = ListenSocket::open(options.listen_host, port > 65535 ? 0 : port);
  bool chosen = channel == Channel::kJoin || options.only_bulk;
  if (!socket && !chosen) {
    missed_ports.push_back(static_cast<uint16_t>(port));
    socket = ListenSocket::open(options.listen_host, 0);
  }
  if (!socket) return socket.error();
  int descriptor = socket->descriptor();
  // Before libzmq accepts: connections that came already wait in the kernel's queue.
  opened->guard = std::make_unique<GuardedListener>(descriptor, opened->gate);
  // libzmq takes the socket over as it is; the address is for its own records.
  std::string where = fmt::format("tcp://{}:{}", options.listen_host, socket->port());
  Status bound = zmq_attempt("cannot listen on " + where, [&] {
    opened->socket.set(zmq::sockopt::use_fd, descriptor);
    opened->socket.bind(where);
  });
  if (!bound) return bound;
  opened->endpoint = fmt::format("tcp://{}:{}", advertised_host, socket->port());
  // Closing the ROUTER closes the descriptor; only if it was not bound is it still ours to close.
  (void)socket->release();
  return {};
}

void ZmqServerTransport::State::serve_handshakes() {
  zap.serve(policy, clock.now());
  zap_watch.may_have_message = false;
}

void ZmqServerTransport::State::sweep_gates() {
  TimePoint now = clock.now();
  if (now - swept_at < kSweepInterval) return;
  swept_at = now;
  for (Listener& opened : listeners) {
    if (opened.gate != nullptr) opened.gate->sweep(now);
  }
}

void ZmqServerTransport::State::note_reached_host(const PeerKey& key, const ZmqReceived& received) {
  const ConnectionGate& gate = *listener(Channel::kJoin).gate;
  std::string address = gate.local_address(received.descriptor, received.peer_address);
  if (address.empty()) return;
  // Strangers get here, so it is bounded. An entry is used when its request is answered, a moment
  // later.
  if (reached_hosts.size() >= kReachedHosts) reached_hosts.clear();
  reached_hosts[key] = endpoint_host(address);
}

// The authenticated sender; nothing if the message must not be used.
std::optional<PeerKey> ZmqServerTransport::State::sender(Channel channel,
                                                         const ZmqReceived& received) const {
  if (!received.two_frames) return std::nullopt;
  auto key = parse_peer_key(received.user_id);
  if (!key) return std::nullopt;
  // A key that was struck off the list is not heard any more, connected or not.
  if (channel != Channel::kJoin && !allow_list.contains(*key)) return std::nullopt;
  return *key;
}

std::optional<Envelope> ZmqServerTransport::State::take(Channel channel) {
  Listener& from = listener(channel);
  for (int i = 0; from.open() && i < kSkippedAtOnce && from.watch.may_have_message; ++i) {
    auto received = zmq_receive(from.socket, true);
    from.watch.may_have_message = received.has_value();
    if (!received) return std::nullopt;
    // Dropped messages count as well: what matters is that libzmq does not hold them any more.
    from.gate->delivered(received->descriptor, received->peer_address, received->frames.bytes());
    auto key = sender(channel, *received);
    if (!key) {
      ++dropped;
      // A key that was struck off: its next handshake is refused, which tells it so.
      if (received->two_frames) from.gate->end(received->descriptor, received->peer_address);
      continue;
    }
    from.routes.heard(*key, received->route);
    if (channel == Channel::kJoin) note_reached_host(*key, *received);
    if (channel == Channel::kCompute) compute_bytes += received->frames.bytes();
    Envelope envelope{*key, channel, std::move(received->frames)};
    if (channel == Channel::kJoin) envelope.origin = AddressGroup::of(received->peer_address);
    return envelope;
  }
  return std::nullopt;
}

// Handshakes, and a message of a channel that is not compute's.
std::optional<Envelope> ZmqServerTransport::State::look_around() {
  serve_handshakes();
  for (Channel channel : {Channel::kJoin, Channel::kBulk}) {
    if (!listener(channel).open()) continue;
    listener(channel).watch.may_have_message = true;
    if (auto envelope = take(channel)) return envelope;
  }
  return std::nullopt;
}

void ZmqServerTransport::State::add_watches(std::vector<ZmqWatch*>* watches) {
  watches->push_back(&zap_watch);
  for (Channel channel : kChannels) {
    if (listener(channel).open()) watches->push_back(&listener(channel).watch);
  }
}

// Blocks until something is there. Looks only at sockets that have something: each look at another
// one costs a system call on the way of a compute message.
bool ZmqServerTransport::State::wait(TimePoint deadline, std::optional<Envelope>* envelope) {
  std::vector<ZmqWatch*> watches;
  add_watches(&watches);
  if (!zmq_wait(watches, clock.now(), deadline)) return false;
  // What came for compute while another channel woke us goes first.
  listener(Channel::kCompute).watch.may_have_message = true;
  if (zap_watch.may_have_message) serve_handshakes();
  for (size_t i = 0; i < kChannels.size() && !envelope->has_value(); ++i) {
    *envelope = take(kChannels[i]);
  }
  return true;
}

Result<std::unique_ptr<ZmqServerTransport>> ZmqServerTransport::listen(
    const Options& options, const AllowList& allow_list) {
  zmq::context_t context = make_zmq_context();
  // Before any socket: without its handler nothing may listen.
  auto zap = ZapHandler::start(context);
  if (!zap) return zap.error();
  auto state = std::make_unique<State>(std::move(context), std::move(*zap), allow_list);
  Status opened = state->open(options);
  if (!opened) return opened.error();
  return std::unique_ptr<ZmqServerTransport>(new ZmqServerTransport(std::move(state)));
}

ZmqServerTransport::ZmqServerTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
ZmqServerTransport::~ZmqServerTransport() = default;

Status ZmqServerTransport::send(const PeerKey& peer, Channel channel, Frames frames) {
  Error gone{ErrorCode::kNotFound, fmt::format("peer {} is not connected", peer.brief())};
  if (!state_->listener(channel).open()) return gone;
  if (channel != Channel::kJoin && !state_->allow_list.contains(peer)) return gone;
  State::Listener& listener = state_->listener(channel);
  uint64_t bytes = frames.bytes();
  // A peer that has reconnected has several routes, and those whose connection is gone fail at
  // once. A full queue ends the search: the other routes are older connections of the same peer.
  while (const std::string* route = listener.routes.best(peer)) {
    ZmqSent sent = zmq_send_frames(listener.socket, *route, frames);
    listener.watch.may_have_message = true;
    if (sent == ZmqSent::kYes) {
      if (channel == Channel::kCompute) state_->compute_bytes += bytes;
      return {};
    }
    if (sent == ZmqSent::kFull) {
      return Error{ErrorCode::kLimit, fmt::format("the queue to {} is full", peer.brief())};
    }
    listener.routes.drop_best(peer);
  }
  return gone;
}

std::optional<Envelope> ZmqServerTransport::receive(Duration timeout) {
  if (++state_->receives % kReceivesPerLookAround == 0) {
    state_->sweep_gates();
    if (auto other = state_->look_around()) return other;
  }
  // Costs no system call while messages are queued.
  if (auto envelope = state_->take(Channel::kCompute)) return envelope;
  TimePoint deadline = state_->clock.now() + std::min<Duration>(timeout, std::chrono::hours(1));
  std::optional<Envelope> envelope;
  state_->sweep_gates();
  while (state_->wait(deadline, &envelope)) {
    // A handshake or a useless message is no reason to return early.
    if (envelope || state_->clock.now() >= deadline) break;
  }
  return envelope;
}

uint64_t ZmqServerTransport::compute_bytes() const {
  return state_->compute_bytes;
}

const std::vector<uint16_t>& ZmqServerTransport::missed_ports() const {
  return state_->missed_ports;
}

std::string ZmqServerTransport::join_endpoint() const {
  return state_->listener(Channel::kJoin).endpoint;
}

std::string ZmqServerTransport::compute_endpoint() const {
  return state_->listener(Channel::kCompute).endpoint;
}

std::string ZmqServerTransport::bulk_endpoint() const {
  return state_->listener(Channel::kBulk).endpoint;
}

std::string ZmqServerTransport::reached_host(const PeerKey& peer) const {
  auto found = state_->reached_hosts.find(peer);
  return found == state_->reached_hosts.end() ? state_->advertised_host : found->second;
}

uint64_t ZmqServerTransport::turned_away() const {
  uint64_t sum = 0;
  for (const State::Listener& opened : state_->listeners) {
    if (opened.gate != nullptr) sum += opened.gate->counts().turned_away;
  }
  return sum;
}

void ZmqServerTransport::open_join(bool open) {
  state_->policy.open_join(open);
}

uint64_t ZmqServerTransport::refused_handshakes() const {
  return state_->zap.refused();
}

std::string ZmqServerTransport::last_refusal() const {
  return state_->zap.last_refusal();
}

uint64_t ZmqServerTransport::dropped_messages() const {
  return state_->dropped;
}

void ZmqServerTransport::add_watches(std::vector<ZmqWatch*>* watches) {
  state_->add_watches(watches);
}

}  // namespace potluck
