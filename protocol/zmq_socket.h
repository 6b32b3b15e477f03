// What both ZeroMQ transports are made of: owned contexts and sockets, the one function that sets
// socket options, and moving two-frame messages in and out. Internal to the transports. A socket
// belongs to the thread of its transport.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "protocol/keys.h"
#include "protocol/transport.h"

namespace potluck {

struct CloseZmqSocket {
  void operator()(void* socket) const;
};
struct TerminateZmqContext {
  void operator()(void* context) const;
};
// Sockets must be closed before their context ends: declare them after it.
using ZmqSocket = std::unique_ptr<void, CloseZmqSocket>;
using ZmqContext = std::unique_ptr<void, TerminateZmqContext>;

ZmqContext make_zmq_context();

// The ZAP domains: what the authentication handler tells sockets apart by.
inline constexpr std::string_view kMemberDomain = "potluck.member";
inline constexpr std::string_view kJoinDomain = "potluck.join";

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
Result<ZmqSocket> open_zmq_socket(void* context, const ZmqSocketRole& role);

// What a listening socket may hold of one connection at most: full queues of the largest messages.
uint64_t zmq_backlog_bytes(Channel channel);

// The error of the last libzmq call that failed, after `what`.
Error zmq_error(const std::string& what);

// --- messages ------------------------------------------------------------------------------------

// A message as it came, before anybody trusts it.
struct ZmqReceived {
  std::string route;    // routing id of the connection; empty at a DEALER
  std::string user_id;  // what the authentication handler said about the peer
  int descriptor = -1;  // of the connection, for questions about it; it may be closed by now
  Frames frames;
  bool two_frames = false;  // false: the frames were dropped
};

// Takes one message if there is one, whatever it looks like; never waits.
std::optional<ZmqReceived> zmq_receive(void* socket, bool from_router);

enum class ZmqSent { kYes, kFull, kNoPeer };

// Never waits. An empty route means a DEALER, where kFull may also mean that nobody is connected.
// The frames are moved away when they were sent, and only then.
ZmqSent zmq_send_frames(void* socket, const std::string& route, Frames& frames);

// --- waiting -------------------------------------------------------------------------------------

// What is known about a socket without asking libzmq, for whom every question is a system call or
// more: whether a message may be there. True after anything was done with the socket but a receive
// that found nothing; then only its file descriptor can tell of news.
struct ZmqWatch {
  ZmqWatch() = default;
  explicit ZmqWatch(void* socket);

  int file_descriptor = -1;
  bool may_have_message = true;
};

// Waits until one of the watched sockets may have a message, with a single system call; false when
// the deadline came first.
bool zmq_wait(std::span<ZmqWatch* const> watches, TimePoint now, TimePoint deadline);

// --- monitor events ------------------------------------------------------------------------------

// Tells of events on a socket. Must be destroyed before that socket is closed.
class ZmqMonitor {
 public:
  // `events` is a set of ZMQ_EVENT_*; `name` is unique within the context.
  static Result<std::unique_ptr<ZmqMonitor>> watch(void* context, void* socket,
                                                   const std::string& name, int events);
  ~ZmqMonitor();
  ZmqMonitor(const ZmqMonitor&) = delete;
  ZmqMonitor& operator=(const ZmqMonitor&) = delete;

  // The next event, if there is one. Costs nothing as long as zmq_wait() saw none.
  std::optional<uint16_t> next();
  ZmqWatch& watch() { return watch_; }

 private:
  ZmqMonitor(void* watched, ZmqSocket pair)
      : watched_(watched), pair_(std::move(pair)), watch_(pair_.get()) {}

  void* watched_;
  ZmqSocket pair_;
  ZmqWatch watch_;
};

}  // namespace potluck
