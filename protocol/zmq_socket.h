// What both ZeroMQ transports are made of, over cppzmq: the one function that sets socket options,
// moving two-frame messages in and out, waiting and monitor events. Internal to the transports. A
// socket belongs to the thread of its transport; it must be closed before its context ends: declare
// it after the context. Exceptions of cppzmq end in zmq_socket.cpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <zmq.hpp>

#include "protocol/keys.h"
#include "protocol/transport.h"

namespace potluck {

zmq::context_t make_zmq_context();

// The ZAP domains: what the authentication handler tells sockets apart by.
inline constexpr std::string_view kMemberDomain = "potluck.member";
inline constexpr std::string_view kJoinDomain = "potluck.join";

// Useless messages in a row that one look at a socket steps over.
inline constexpr int kSkippedAtOnce = 64;
// A busy compute channel must not keep handshakes and other channels waiting for longer than so
// many messages.
inline constexpr uint64_t kReceivesPerLookAround = 32;

struct ZmqSocketRole {
  Channel channel = Channel::kCompute;
  bool ipv6 = false;
  CurveKeyPair keys;                  // this device's
  std::optional<PeerKey> server_key;  // of the server to connect to; a listening socket has none
};

// The first socket of a context starts the library's threads; where it cannot, it aborts. Ask
// before: kLimit when the system gives no threads.
Status check_zmq_threads();

// An encrypted ROUTER (listening) or DEALER with all its options.
Result<zmq::socket_t> open_zmq_socket(zmq::context_t& context, const ZmqSocketRole& role);

// What a listening socket may hold of one connection at most: full queues of the largest messages.
uint64_t zmq_backlog_bytes(Channel channel);

// Runs calls of cppzmq; what they throw becomes an error, after `what`. Not for every message.
Status zmq_attempt(const std::string& what, const std::function<void()>& calls);

// --- messages ------------------------------------------------------------------------------------

// A message as it arrived, not yet checked.
struct ZmqReceived {
  std::string route;    // routing id of the connection; empty at a DEALER
  std::string user_id;  // what the authentication handler said about the peer
  // Of the connection. It may be closed by now, and the number another connection's.
  int descriptor = -1;
  std::string peer_address;  // where the connection came from, "192.168.1.7"; empty if not known
  Frames frames;
  bool two_frames = false;  // false: the frames were dropped
};

// Takes one message if there is one, well-formed or not; never waits.
std::optional<ZmqReceived> zmq_receive(zmq::socket_ref socket, bool from_router);

enum class ZmqSent { kYes, kFull, kNoPeer };

// Never waits. An empty route means a DEALER, where kFull may also mean that no peer is connected.
// The frames are moved from only if they were sent.
ZmqSent zmq_send_frames(zmq::socket_ref socket, const std::string& route, Frames& frames);

// One part of a message; neither waits.
bool zmq_receive_part(zmq::socket_ref socket, zmq::message_t& part);
ZmqSent zmq_send_part(zmq::socket_ref socket, std::string_view part, bool more);

// --- waiting -------------------------------------------------------------------------------------

// What is known about a socket without asking libzmq, for whom every question is a system call or
// more: whether a message may be there. True after anything was done with the socket but a receive
// that found nothing; then only its file descriptor can tell of news.
struct ZmqWatch {
  ZmqWatch() = default;
  explicit ZmqWatch(zmq::socket_ref socket);

  int file_descriptor = -1;
  bool may_have_message = true;
};

// Waits until one of the watched sockets may have a message, with a single system call; false when
// the deadline came first.
bool zmq_wait(std::span<ZmqWatch* const> watches, TimePoint now, TimePoint deadline);

// --- monitor events ------------------------------------------------------------------------------

// Tells of events on a socket. Must be destroyed before that socket is closed. zmq::monitor_t waits
// with a poll of its own and bounds its queue; this one is waited for with everything else.
class ZmqMonitor {
 public:
  // `events` is a set of ZMQ_EVENT_*; `name` is unique within the context.
  static Result<std::unique_ptr<ZmqMonitor>> watch(zmq::context_t& context, zmq::socket_ref socket,
                                                   const std::string& name, int events);
  ~ZmqMonitor();
  ZmqMonitor(const ZmqMonitor&) = delete;
  ZmqMonitor& operator=(const ZmqMonitor&) = delete;

  // The next event, if there is one. Costs nothing as long as zmq_wait() saw none.
  std::optional<uint16_t> next();
  ZmqWatch& watch() { return watch_; }

 private:
  ZmqMonitor(zmq::socket_ref watched, zmq::socket_t pair)
      : watched_(watched), pair_(std::move(pair)), watch_(pair_) {}

  zmq::socket_ref watched_;
  zmq::socket_t pair_;
  ZmqWatch watch_;
};

}  // namespace potluck
