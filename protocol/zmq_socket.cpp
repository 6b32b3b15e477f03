#include "protocol/zmq_socket.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <poll.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/out_of_resources.h"
#include "protocol/liveness.h"

namespace potluck {
namespace {

// zmq.h calls it a draft and hides it; the released library has it. With it, a socket whose domain
// has no authentication handler refuses every client. Without it, such a socket admits them all.
using ZapEnforceDomain = zmq::sockopt::integral_option<93, int, true>;

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

// The one function: every option of every socket that faces the network, with its reason.
void set_options(zmq::socket_t& socket, const ZmqSocketRole& role) {
  namespace option = zmq::sockopt;
  bool server = !role.server_key.has_value();
  QueueLengths queues = queue_lengths(role.channel, server);

  // Bounded queues: a slow peer costs memory up to here, then send() says so. The default is 1000.
  socket.set(option::sndhwm, queues.send);
  socket.set(option::rcvhwm, queues.receive);
  // A larger frame ends the connection. The default is no limit.
  socket.set(option::maxmsgsize,
             static_cast<int64_t>(frame_limit(role.channel, server) + kCurveOverhead));
  // Closing must not hang (the default waits forever), but a last Goodbye may leave.
  socket.set(option::linger, role.channel == Channel::kCompute ? 200 : 0);
  // Encryption of bulk data has a thread of its own, so that it never delays compute messages.
  socket.set(option::affinity, uint64_t{role.channel == Channel::kBulk ? 2U : 1U});
  // A peer that does not finish its handshake holds nothing for long. The default is 30 s.
  socket.set(option::handshake_ivl, 5000);
  // Finds connections whose other end vanished without a word, so that a worker connects anew.
  // Slow to judge: a part of 512 KiB may take its time on a bad link. Cores judge faster on their
  // own (liveness.h).
  socket.set(option::heartbeat_ivl, 5000);
  socket.set(option::heartbeat_timeout, 30'000);
  socket.set(option::heartbeat_ttl, 30'000);
  socket.set(option::tcp_keepalive, 1);
  socket.set(option::tcp_keepalive_idle, 30);
  socket.set(option::tcp_keepalive_intvl, 10);
  socket.set(option::tcp_keepalive_cnt, 3);
  // A link that was gone for a while, or an address that was given up, leaves connections on which
  // TCP repeats itself ever more rarely: after a minute, up to half a minute apart. What is not
  // confirmed in such a time ends the connection at both sides, and the worker connects anew.
  // As long as a peer may be silent: it is lost by then in any case. The default is 15 minutes.
  socket.set(option::tcp_maxrt, static_cast<int>(kDeadAfter / std::chrono::milliseconds(1)));
  socket.set(option::ipv6, role.ipv6);
  socket.set(option::curve_secretkey, zmq::buffer(role.keys.secret));
  if (server) {
    socket.set(option::curve_server, true);
    // CURVE alone lets any client key in: the handler behind the domain decides, and without a
    // handler no client is let in.
    socket.set(option::zap_domain, role.channel == Channel::kJoin ? kJoinDomain : kMemberDomain);
    socket.set(ZapEnforceDomain{}, true);
    // Sending to a vanished peer is an error. The default drops the message without a word.
    socket.set(option::router_mandatory, true);
    // A second connection with the same routing id never takes over the first one's work.
    socket.set(option::router_handover, false);
  } else {
    socket.set(option::curve_publickey, zmq::buffer(role.keys.public_key.bytes));
    socket.set(option::curve_serverkey, zmq::buffer(role.server_key->bytes));
    // Queue for finished connections only: a message without a recipient is an error.
    socket.set(option::immediate, true);
    // Two attempts of TCP, which come after 0 and 1 s; its third one after 3 s would be late when a
    // link comes back in between.
    socket.set(option::connect_timeout, 2000);
    // From 0.1 s, doubling: a peer that is reachable again is found within a second or two.
    socket.set(option::reconnect_ivl, 100);
    socket.set(option::reconnect_ivl_max, 500);
  }
}

ByteVector copy_of(const zmq::message_t& message) {
  const auto* bytes = message.data<std::byte>();
  return {bytes, bytes + message.size()};
}

void drop_rest(zmq::socket_ref socket, bool more) {
  while (more) {
    zmq::message_t part;
    if (!zmq_receive_part(socket, part)) return;
    more = part.more();
  }
}

void free_frame(void*, void* hint) {
  delete static_cast<ByteVector*>(hint);
}

zmq::send_flags send_flags(bool more) {
  return more ? zmq::send_flags::sndmore | zmq::send_flags::dontwait : zmq::send_flags::dontwait;
}

// EHOSTUNREACH is what router_mandatory gives for a routing id that has no connection.
ZmqSent send_message(zmq::socket_ref socket, zmq::message_t& message, bool more) {
  try {
    return socket.send(message, send_flags(more)) ? ZmqSent::kYes : ZmqSent::kFull;
  } catch (const zmq::error_t& error) {
    return error.num() == EHOSTUNREACH ? ZmqSent::kNoPeer : ZmqSent::kFull;
  }
}

// Sends a frame, moving it away on success. The memory of a large frame is handed to libzmq, whose
// I/O thread calls free_frame() when it has sent it.
ZmqSent send_frame(zmq::socket_ref socket, ByteVector& frame, bool more) {
  if (frame.size() < kCopiedBytes) return zmq_send_part(socket, as_text(frame), more);
  auto owner = std::make_unique<ByteVector>(std::move(frame));
  try {
    zmq::message_t message(owner->data(), owner->size(), free_frame, owner.get());
    ByteVector* owned = owner.release();  // free_frame() deletes it
    ZmqSent sent = send_message(socket, message, more);
    if (sent != ZmqSent::kYes) frame = std::move(*owned);
    return sent;
  } catch (const zmq::error_t&) {  // no memory for the message
    frame = std::move(*owner);
    return ZmqSent::kFull;
  }
}

}  // namespace

zmq::context_t make_zmq_context() {
  constexpr int kIoThreads = 2;  // one for compute and join, one for bulk; see the affinity above
  std::optional<zmq::context_t> context;
  CHECK(zmq_attempt("messages between devices", [&] { context.emplace(kIoThreads); }).ok());
  return std::move(*context);
}

Status zmq_attempt(const std::string& what, const std::function<void()>& calls) {
  try {
    calls();
    return {};
  } catch (const zmq::error_t& error) {
    return Error{ErrorCode::kIo, fmt::format("{}: {}", what, error.what())};
  }
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

Result<zmq::socket_t> open_zmq_socket(zmq::context_t& context, const ZmqSocketRole& role) {
  if (Status threads = check_zmq_threads(); !threads) return threads.error();
  zmq::socket_t socket;
  Status opened = zmq_attempt("opening a socket", [&] {
    bool dealer = role.server_key.has_value();
    socket = zmq::socket_t(context, dealer ? zmq::socket_type::dealer : zmq::socket_type::router);
    set_options(socket, role);
  });
  if (!opened) return opened.error();
  return socket;
}

bool zmq_receive_part(zmq::socket_ref socket, zmq::message_t& part) {
  try {
    return socket.recv(part, zmq::recv_flags::dontwait).has_value();
  } catch (const zmq::error_t&) {
    return false;
  }
}

ZmqSent zmq_send_part(zmq::socket_ref socket, std::string_view part, bool more) {
  try {
    zmq::message_t message(part);
    return send_message(socket, message, more);
  } catch (const zmq::error_t&) {  // no memory for the message
    return ZmqSent::kFull;
  }
}

std::optional<ZmqReceived> zmq_receive(zmq::socket_ref socket, bool from_router) {
  ZmqReceived received;
  if (from_router) {
    zmq::message_t route;
    if (!zmq_receive_part(socket, route)) return std::nullopt;
    received.route = route.to_string();
    if (!route.more()) return received;
  }
  zmq::message_t header;
  if (!zmq_receive_part(socket, header)) return std::nullopt;
  // cppzmq throws where a property is not set, and at a DEALER no message has a User-Id.
  const char* user_id = zmq_msg_gets(header.handle(), "User-Id");
  if (user_id != nullptr) received.user_id = user_id;
  const char* address = zmq_msg_gets(header.handle(), "Peer-Address");
  if (address != nullptr) received.peer_address = address;
  received.descriptor = zmq_msg_get(header.handle(), ZMQ_SRCFD);
  if (!header.more()) return received;
  zmq::message_t tensor;
  if (!zmq_receive_part(socket, tensor)) return received;
  // The rest has to be read, or it would be taken for the beginning of the next message.
  if (tensor.more()) {
    drop_rest(socket, true);
    return received;
  }
  received.frames = {copy_of(header), copy_of(tensor)};
  received.two_frames = true;
  return received;
}

// libzmq decides at the first part of a message whether there is a peer with room, and takes the
// rest of it in any case. So a message is never half queued: at a ROUTER the part that may fail is
// the route.
ZmqSent zmq_send_frames(zmq::socket_ref socket, const std::string& route, Frames& frames) {
  if (!route.empty()) {
    ZmqSent addressed = zmq_send_part(socket, route, true);
    if (addressed != ZmqSent::kYes) return addressed;
  }
  ZmqSent header = send_frame(socket, frames.header, true);
  return header == ZmqSent::kYes ? send_frame(socket, frames.tensor, false) : header;
}

Result<std::unique_ptr<ZmqMonitor>> ZmqMonitor::watch(zmq::context_t& context,
                                                      zmq::socket_ref socket,
                                                      const std::string& name, int events) {
  std::string address = "inproc://" + name;
  std::unique_ptr<ZmqMonitor> monitor;
  Status watched = zmq_attempt("opening a monitor", [&] {
    zmq::socket_t pair(context, zmq::socket_type::pair);
    pair.set(zmq::sockopt::linger, 0);
    // No bound: libzmq's thread would wait at a full queue, and with it all traffic.
    pair.set(zmq::sockopt::rcvhwm, 0);
    if (zmq_socket_monitor(socket.handle(), address.c_str(), events) != 0) throw zmq::error_t();
    monitor.reset(new ZmqMonitor(socket, std::move(pair)));
    monitor->pair_.connect(address);
  });
  if (!watched) return watched.error();
  return monitor;
}

// Stops the events first: libzmq's thread would wait forever to tell a closed socket of one.
ZmqMonitor::~ZmqMonitor() {
  zmq_socket_monitor(watched_.handle(), nullptr, 0);
}

std::optional<uint16_t> ZmqMonitor::next() {
  if (!watch_.may_have_message) return std::nullopt;
  zmq::message_t event;  // 16 bits of event, 32 bits of value; the endpoint follows
  watch_.may_have_message = zmq_receive_part(pair_, event);
  if (!watch_.may_have_message) return std::nullopt;
  drop_rest(pair_, event.more());
  if (event.size() < sizeof(uint16_t)) return uint16_t{0};
  return load<uint16_t>(event.data<std::byte>());
}

ZmqWatch::ZmqWatch(zmq::socket_ref socket) {
  Status asked = zmq_attempt("file descriptor of a socket",
                             [&] { file_descriptor = socket.get(zmq::sockopt::fd); });
  CHECK(asked.ok());
}

bool zmq_wait(std::span<ZmqWatch* const> watches, TimePoint now, TimePoint deadline) {
  constexpr Duration kLongest = std::chrono::hours(1);
  std::vector<pollfd> descriptors;
  for (const ZmqWatch* watch : watches) {
    // libzmq's descriptor tells of changes, not of a state: while a message may be there that was
    // not looked for, it can stay silent, and waiting for it would hang (ZMQ_FD in
    // zmq_getsockopt(3)).
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
