#include <array>
#include <cerrno>
#include <vector>

#include <fmt/format.h>
#include <zmq.h>

#include "engine/base/limits.h"
#include "protocol/peer_routes.h"
#include "protocol/peer_text.h"
#include "protocol/zmq_auth.h"
#include "protocol/zmq_socket.h"
#include "protocol/zmq_transport.h"

namespace potluck {
namespace {

// Sockets in the order in which they are served.
constexpr std::array kChannels = {Channel::kCompute, Channel::kJoin, Channel::kBulk};
// A busy compute channel must not keep handshakes and other channels waiting for longer than so
// many messages.
constexpr uint64_t kReceivesPerLookAround = 32;
// Useless messages in a row that one call of receive() steps over.
constexpr int kSkipped = 64;
// Members may be connected twice for a moment while they reconnect.
constexpr size_t kRememberedPeers = 2 * limits::kWorkers;

// Wildcards would answer on networks nobody meant, and are no address to connect to.
Result<std::string> endpoint_host(const std::string& listen_host) {
  std::string host = listen_host;
  if (host.find(':') != std::string::npos && host.front() != '[') host = "[" + host + "]";
  if (!is_endpoint_host(host) || host == "0.0.0.0" || host == "[::]") {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("listen address \"{}\": expected one address of this machine",
                             clean_text(listen_host, 80))};
  }
  return host;
}

std::string bound_endpoint(void* socket) {
  std::array<char, 256> endpoint{};
  size_t size = endpoint.size();
  if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint.data(), &size) != 0) return {};
  return endpoint.data();
}

// Port 0 means any.
Status bind_port(void* socket, const std::string& host, uint32_t port) {
  std::string where = fmt::format("tcp://{}:{}", host, port == 0 ? "*" : std::to_string(port));
  if (zmq_bind(socket, where.c_str()) == 0) return {};
  return zmq_error("cannot listen on " + where);
}

}  // namespace

struct ZmqServerTransport::State {
  // One channel's socket.
  struct Listener {
    ZmqSocket socket;
    ZmqWatch watch;
    std::string endpoint;
    PeerRoutes routes{kRememberedPeers};

    bool open() const { return socket != nullptr; }
  };

  State(ZmqContext zmq_context, ZapHandler handler, const AllowList& list)
      : context(std::move(zmq_context)),
        zap(std::move(handler)),
        zap_watch(zap.socket()),
        allow_list(list),
        policy(list) {}

  Listener& listener(Channel channel) { return listeners[static_cast<size_t>(channel)]; }
  Status open(const Options& options);
  Status open_channel(const Options& options, const std::string& host, Channel channel);
  Status watch_join();
  void serve_handshakes();
  std::optional<Envelope> take(Channel channel);
  std::optional<Envelope> look_around();
  std::optional<PeerKey> sender(Channel channel, const ZmqReceived& received) const;
  void add_watches(std::vector<ZmqWatch*>* watches);
  bool join_news() { return join_monitor && join_monitor->watch().may_have_message; }
  bool wait(TimePoint deadline, std::optional<Envelope>* envelope);

  SystemClock clock;
  ZmqContext context;
  ZapHandler zap;
  ZmqWatch zap_watch;
  const AllowList& allow_list;
  HandshakePolicy policy;
  std::array<Listener, 3> listeners;         // by channel
  std::unique_ptr<ZmqMonitor> join_monitor;  // ends before the listeners
  size_t join_connections = 0;
  uint64_t receives = 0;
  uint64_t dropped = 0;
  uint64_t compute_bytes = 0;
};

Status ZmqServerTransport::State::open(const Options& options) {
  auto host = endpoint_host(options.listen_host);
  if (!host) return host.error();
  for (Channel channel : {Channel::kJoin, Channel::kCompute, Channel::kBulk}) {
    if (options.only_bulk && channel != Channel::kBulk) continue;
    Status opened = open_channel(options, *host, channel);
    if (!opened) return opened;
  }
  return {};
}

Status ZmqServerTransport::State::open_channel(const Options& options, const std::string& host,
                                               Channel channel) {
  ZmqSocketRole role{channel, host.front() == '[', options.keys, std::nullopt};
  auto socket = open_zmq_socket(context.get(), role);
  if (!socket) return socket.error();
  Listener& opened = listener(channel);
  opened.socket = std::move(*socket);
  opened.watch = ZmqWatch(opened.socket.get());
  if (channel == Channel::kJoin) {
    Status watched = watch_join();
    if (!watched) return watched;
  }
  uint32_t port = options.port;
  // The two ports behind a chosen one, so that workers find a coordinator that restarts; any
  // others if those are taken.
  if (port != 0 && channel == Channel::kCompute) port += 1;
  if (port != 0 && channel == Channel::kBulk && !options.only_bulk) port += 2;
  Status bound = bind_port(opened.socket.get(), host, port > 65535 ? 0 : port);
  bool chosen = channel == Channel::kJoin || options.only_bulk;
  if (!bound && !chosen) bound = bind_port(opened.socket.get(), host, 0);
  opened.endpoint = bound_endpoint(opened.socket.get());
  return bound;
}

Status ZmqServerTransport::State::watch_join() {
  auto monitor = ZmqMonitor::watch(context.get(), listener(Channel::kJoin).socket.get(),
                                   "join-monitor", ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED);
  if (!monitor) return monitor.error();
  join_monitor = std::move(*monitor);
  return {};
}

void ZmqServerTransport::State::serve_handshakes() {
  while (auto event = join_monitor ? join_monitor->next() : std::nullopt) {
    if (*event == ZMQ_EVENT_ACCEPTED) ++join_connections;
    if (*event == ZMQ_EVENT_DISCONNECTED && join_connections > 0) --join_connections;
  }
  zap.serve(policy, clock.now(), join_connections);
  zap_watch.may_have_message = false;
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
  for (int i = 0; from.open() && i < kSkipped && from.watch.may_have_message; ++i) {
    auto received = zmq_receive(from.socket.get(), true);
    from.watch.may_have_message = received.has_value();
    if (!received) return std::nullopt;
    auto key = sender(channel, *received);
    if (!key) {
      ++dropped;
      continue;
    }
    from.routes.heard(*key, received->route);
    if (channel == Channel::kCompute) compute_bytes += received->frames.bytes();
    return Envelope{*key, channel, std::move(received->frames)};
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
  if (join_monitor) watches->push_back(&join_monitor->watch());
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
  if (zap_watch.may_have_message || join_news()) serve_handshakes();
  for (size_t i = 0; i < kChannels.size() && !envelope->has_value(); ++i) {
    *envelope = take(kChannels[i]);
  }
  return true;
}

Result<std::unique_ptr<ZmqServerTransport>> ZmqServerTransport::listen(
    const Options& options, const AllowList& allow_list) {
  ZmqContext context = make_zmq_context();
  // Before any socket: without its handler nothing may listen.
  auto zap = ZapHandler::start(context.get());
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
  while (const std::string* route = listener.routes.best(peer)) {
    ZmqSent sent = zmq_send_frames(listener.socket.get(), *route, frames);
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
    if (auto other = state_->look_around()) return other;
  }
  // Costs no system call while messages are queued.
  if (auto envelope = state_->take(Channel::kCompute)) return envelope;
  TimePoint deadline = state_->clock.now() + std::min<Duration>(timeout, std::chrono::hours(1));
  std::optional<Envelope> envelope;
  while (state_->wait(deadline, &envelope)) {
    // A handshake or a useless message is no reason to return early.
    if (envelope || state_->clock.now() >= deadline) break;
  }
  return envelope;
}

uint64_t ZmqServerTransport::compute_bytes() const {
  return state_->compute_bytes;
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
