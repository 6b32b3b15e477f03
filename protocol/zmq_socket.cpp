#include "protocol/zmq_socket.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <poll.h>
#include <zmq.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// zmq.h calls it a draft and hides it; the released library has it. With it, a socket whose domain
// has no authentication handler refuses everybody. Without it, such a socket lets everybody in.
constexpr int kZapEnforceDomain = 93;

// CURVE wraps every frame: a command name, a nonce, flags and an authenticator.
constexpr uint64_t kCurveOverhead = 64;
// Requests on the bulk channel and everything on the join channel are headers of some 200 bytes,
// texts of kTextBytes included.
constexpr uint64_t kSmallFrameBytes = 2 * limits::kTextBytes;
// Smaller frames are copied into the message: cheaper than handing over their memory.
constexpr size_t kCopiedBytes = 1024;

// Messages a socket holds for, or from, one peer.
struct QueueLengths {
  int send;
  int receive;
};

QueueLengths queue_lengths(Channel channel, bool server) {
  // A layer is one message each way, so hundreds in flight are plenty for prefill and heartbeats. A
  // coordinator takes fewer from each worker before it reads them: they may have kFrameBytes each,
  // and what does not fit waits at the worker.
  if (channel == Channel::kCompute) return {512, server ? 8 : 512};
  if (channel == Channel::kJoin) return {16, 16};
  // Parts of up to kBulkPartBytes one way, requests the other. Twice as many as are ever asked for:
  // libzmq learns only after half a queue what the other side has taken.
  constexpr int kParts = 2 * limits::kBulkPartsAsked;
  return server ? QueueLengths{kParts, 64} : QueueLengths{64, 4};
}

// What a peer may send in one frame.
uint64_t frame_limit(Channel channel, bool server) {
  // An Assignment names all units and who has them, and comes from the one peer that we trust.
  if (channel == Channel::kCompute) return server ? limits::kFrameBytes : limits::kHeaderBytes;
  if (channel == Channel::kBulk && !server) return limits::kBulkPartBytes;
  return kSmallFrameBytes;
}

// Collects the first failure of a row of zmq_setsockopt calls.
class OptionSetter {
 public:
  explicit OptionSetter(void* socket) : socket_(socket) {}

  void set(int option, int value) { set_raw(option, &value, sizeof value); }
  void set64(int option, uint64_t value) { set_raw(option, &value, sizeof value); }
  void set_key(int option, const std::array<uint8_t, 32>& key) {
    set_raw(option, key.data(), key.size());
  }
  void set_text(int option, std::string_view text) { set_raw(option, text.data(), text.size()); }
  Status status() const { return status_; }

 private:
  void set_raw(int option, const void* value, size_t size) {
    if (status_.ok() && zmq_setsockopt(socket_, option, value, size) != 0) {
      status_ = zmq_error(fmt::format("socket option {}", option));
    }
  }

  void* socket_;
  Status status_;
};

// The one function: every option of every socket that faces the network, with its reason.
Status set_options(void* socket, const ZmqSocketRole& role) {
  OptionSetter options(socket);
  bool server = !role.server_key.has_value();
  QueueLengths queues = queue_lengths(role.channel, server);

  // Bounded queues: a slow peer costs memory up to here, then send() says so. The default is 1000.
  options.set(ZMQ_SNDHWM, queues.send);
  options.set(ZMQ_RCVHWM, queues.receive);
  // A larger frame ends the connection. The default is no limit.
  options.set64(ZMQ_MAXMSGSIZE, frame_limit(role.channel, server) + kCurveOverhead);
  // Closing must not hang (the default waits forever), but a last Goodbye may leave.
  options.set(ZMQ_LINGER, role.channel == Channel::kCompute ? 200 : 0);
  // Encryption of bulk data has a thread of its own, so that it never delays compute messages.
  options.set64(ZMQ_AFFINITY, role.channel == Channel::kBulk ? 2 : 1);
  // A peer that does not finish its handshake holds nothing for long. The default is 30 s.
  options.set(ZMQ_HANDSHAKE_IVL, 5000);
  // Finds connections whose other end vanished without a word, so that a worker connects anew.
  // Slow to judge: a part of 512 KiB may take its time on a bad link. Cores judge faster on their
  // own (liveness.h).
  options.set(ZMQ_HEARTBEAT_IVL, 5000);
  options.set(ZMQ_HEARTBEAT_TIMEOUT, 30'000);
  options.set(ZMQ_HEARTBEAT_TTL, 30'000);
  options.set(ZMQ_TCP_KEEPALIVE, 1);
  options.set(ZMQ_TCP_KEEPALIVE_IDLE, 30);
  options.set(ZMQ_TCP_KEEPALIVE_INTVL, 10);
  options.set(ZMQ_TCP_KEEPALIVE_CNT, 3);
  options.set(ZMQ_IPV6, role.ipv6 ? 1 : 0);
  options.set_key(ZMQ_CURVE_SECRETKEY, role.keys.secret);
  if (server) {
    options.set(ZMQ_CURVE_SERVER, 1);
    // CURVE alone lets any client key in: the handler behind the domain decides, and without a
    // handler nobody comes in.
    options.set_text(ZMQ_ZAP_DOMAIN, role.channel == Channel::kJoin ? kJoinDomain : kMemberDomain);
    options.set(kZapEnforceDomain, 1);
    // Sending to a vanished peer is an error. The default drops the message without a word.
    options.set(ZMQ_ROUTER_MANDATORY, 1);
    // A second connection with the same routing id never takes over the first one's work.
    options.set(ZMQ_ROUTER_HANDOVER, 0);
  } else {
    options.set_key(ZMQ_CURVE_PUBLICKEY, role.keys.public_key.bytes);
    options.set_key(ZMQ_CURVE_SERVERKEY, role.server_key->bytes);
    // Queue for finished connections only: a message for nobody is an error, not a promise.
    options.set(ZMQ_IMMEDIATE, 1);
    options.set(ZMQ_CONNECT_TIMEOUT, 5000);
    // From 0.1 s, doubling: a coordinator that restarts finds its workers back within seconds.
    options.set(ZMQ_RECONNECT_IVL, 100);
    options.set(ZMQ_RECONNECT_IVL_MAX, 2000);
  }
  return options.status();
}

// A libzmq message that is closed in any case.
class ZmqMessage {
 public:
  ZmqMessage() { zmq_msg_init(&message_); }
  explicit ZmqMessage(ByteSpan copied) {
    CHECK(zmq_msg_init_size(&message_, copied.size()) == 0);
    std::copy(copied.begin(), copied.end(), static_cast<std::byte*>(zmq_msg_data(&message_)));
  }
  ~ZmqMessage() { zmq_msg_close(&message_); }
  ZmqMessage(const ZmqMessage&) = delete;
  ZmqMessage& operator=(const ZmqMessage&) = delete;

  zmq_msg_t* get() { return &message_; }
  bool more() { return zmq_msg_more(&message_) != 0; }
  ByteSpan bytes() {
    return {static_cast<const std::byte*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
  }
  bool receive(void* socket) { return zmq_msg_recv(&message_, socket, ZMQ_DONTWAIT) >= 0; }

 private:
  zmq_msg_t message_;
};

ByteVector copy_of(ZmqMessage& message) {
  ByteSpan bytes = message.bytes();
  return {bytes.begin(), bytes.end()};
}

void drop_rest(void* socket, bool more) {
  while (more) {
    ZmqMessage part;
    if (!part.receive(socket)) return;
    more = part.more();
  }
}

void free_frame(void*, void* hint) {
  delete static_cast<ByteVector*>(hint);
}

// Sends a frame, moving it away on success.
bool send_frame(void* socket, ByteVector& frame, int flags) {
  if (frame.size() < kCopiedBytes) {
    ZmqMessage message(frame);
    return zmq_msg_send(message.get(), socket, flags | ZMQ_DONTWAIT) >= 0;
  }
  auto owner = std::make_unique<ByteVector>(std::move(frame));
  ByteVector* owned = owner.release();  // free_frame() deletes it
  zmq_msg_t message;
  CHECK(zmq_msg_init_data(&message, owned->data(), owned->size(), free_frame, owned) == 0);
  if (zmq_msg_send(&message, socket, flags | ZMQ_DONTWAIT) >= 0) return true;
  frame = std::move(*owned);
  zmq_msg_close(&message);
  return false;
}

}  // namespace

void CloseZmqSocket::operator()(void* socket) const {
  zmq_close(socket);
}

void TerminateZmqContext::operator()(void* context) const {
  while (zmq_ctx_term(context) != 0 && errno == EINTR) {
  }
}

ZmqContext make_zmq_context() {
  ZmqContext context(zmq_ctx_new());
  CHECK(context != nullptr);
  // One thread for compute and join, one for bulk; see ZMQ_AFFINITY above.
  CHECK(zmq_ctx_set(context.get(), ZMQ_IO_THREADS, 2) == 0);
  return context;
}

Error zmq_error(const std::string& what) {
  return {ErrorCode::kIo, fmt::format("{}: {}", what, zmq_strerror(zmq_errno()))};
}

Status check_zmq_threads() {
  constexpr int kLibraryThreads = 3;  // one that ends sockets, and ZMQ_IO_THREADS
  return check_threads("messages between devices", kLibraryThreads);
}

uint64_t zmq_backlog_bytes(Channel channel) {
  constexpr uint64_t kFrames = 2;  // of a message
  auto messages = static_cast<uint64_t>(queue_lengths(channel, true).receive) + 1;
  return messages * kFrames * frame_limit(channel, true);
}

Result<ZmqSocket> open_zmq_socket(void* context, const ZmqSocketRole& role) {
  if (Status threads = check_zmq_threads(); !threads) return threads.error();
  ZmqSocket socket(zmq_socket(context, role.server_key ? ZMQ_DEALER : ZMQ_ROUTER));
  if (socket == nullptr) return zmq_error("opening a socket");
  Status set = set_options(socket.get(), role);
  if (!set) return set.error();
  return socket;
}

std::optional<ZmqReceived> zmq_receive(void* socket, bool from_router) {
  ZmqReceived received;
  if (from_router) {
    ZmqMessage route;
    if (!route.receive(socket)) return std::nullopt;
    received.route = as_text(route.bytes());
    if (!route.more()) return received;
  }
  ZmqMessage header;
  if (!header.receive(socket)) return std::nullopt;
  const char* user_id = zmq_msg_gets(header.get(), "User-Id");
  if (user_id != nullptr) received.user_id = user_id;
  received.descriptor = zmq_msg_get(header.get(), ZMQ_SRCFD);
  if (!header.more()) return received;
  ZmqMessage tensor;
  if (!tensor.receive(socket)) return received;
  if (tensor.more()) {
    drop_rest(socket, true);
    return received;
  }
  received.frames = {copy_of(header), copy_of(tensor)};
  received.two_frames = true;
  return received;
}

ZmqSent zmq_send_frames(void* socket, const std::string& route, Frames& frames) {
  auto failure = [] { return zmq_errno() == EHOSTUNREACH ? ZmqSent::kNoPeer : ZmqSent::kFull; };
  if (!route.empty()) {
    ZmqMessage address(as_bytes(route));
    if (zmq_msg_send(address.get(), socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) return failure();
  }
  if (!send_frame(socket, frames.header, ZMQ_SNDMORE)) return failure();
  if (!send_frame(socket, frames.tensor, 0)) return failure();
  return ZmqSent::kYes;
}

Result<std::unique_ptr<ZmqMonitor>> ZmqMonitor::watch(void* context, void* socket,
                                                      const std::string& name, int events) {
  ZmqSocket pair(zmq_socket(context, ZMQ_PAIR));
  if (pair == nullptr) return zmq_error("opening a monitor");
  OptionSetter options(pair.get());
  options.set(ZMQ_LINGER, 0);
  // No bound: libzmq's thread would wait at a full queue, and with it all traffic.
  options.set(ZMQ_RCVHWM, 0);
  if (!options.status()) return options.status().error();
  std::string address = "inproc://" + name;
  if (zmq_socket_monitor(socket, address.c_str(), events) != 0) return zmq_error("socket monitor");
  std::unique_ptr<ZmqMonitor> monitor(new ZmqMonitor(socket, std::move(pair)));
  if (zmq_connect(monitor->pair_.get(), address.c_str()) != 0) return zmq_error("socket monitor");
  return monitor;
}

// Stops the events first: libzmq's thread would wait forever to tell a closed socket of one.
ZmqMonitor::~ZmqMonitor() {
  zmq_socket_monitor(watched_, nullptr, 0);
}

std::optional<uint16_t> ZmqMonitor::next() {
  if (!watch_.may_have_message) return std::nullopt;
  ZmqMessage event;  // 16 bits of event, 32 bits of value; the endpoint follows
  watch_.may_have_message = event.receive(pair_.get());
  if (!watch_.may_have_message) return std::nullopt;
  drop_rest(pair_.get(), event.more());
  ByteSpan bytes = event.bytes();
  return bytes.size() < sizeof(uint16_t) ? uint16_t{0} : load<uint16_t>(bytes.data());
}

ZmqWatch::ZmqWatch(void* socket) {
  size_t size = sizeof file_descriptor;
  CHECK(zmq_getsockopt(socket, ZMQ_FD, &file_descriptor, &size) == 0);
}

bool zmq_wait(std::span<ZmqWatch* const> watches, TimePoint now, TimePoint deadline) {
  constexpr Duration kLongest = std::chrono::hours(1);
  std::vector<pollfd> descriptors;
  for (const ZmqWatch* watch : watches) {
    if (watch->may_have_message) return true;
    descriptors.push_back({watch->file_descriptor, POLLIN, 0});
  }
  Duration left = std::clamp(deadline - now, Duration::zero(), kLongest);
  timespec timeout = {left.count() / 1'000'000'000, left.count() % 1'000'000'000};
  if (ppoll(descriptors.data(), descriptors.size(), &timeout, nullptr) <= 0) return false;
  for (size_t i = 0; i < watches.size(); ++i) {
    watches[i]->may_have_message = descriptors[i].revents != 0;
  }
  return true;
}

}  // namespace potluck
