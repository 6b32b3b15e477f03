// Who may connect: the policy as a pure class, and the handler through which libzmq asks (ZAP, RFC
// 27). libzmq finishes no handshake before the handler answered, so the transport's thread must
// serve it: ZmqServerTransport::receive() does. Internal to the server's transport; one thread.
#pragma once

#include <string>

#include "protocol/allow_list.h"
#include "protocol/zmq_socket.h"

namespace potluck {

enum class HandshakeVerdict {
  kAccept = 200,
  kLater = 300,   // the handshake runs into its time limit; the peer tries again by itself
  kRefuse = 400,  // the peer is told, and stays away
};

// Members of the allow list may always come in. Keys that are not on it may knock at the join
// channel only: while it is open, a few per second, and a bounded number at the same time.
class HandshakePolicy {
 public:
  static constexpr uint32_t kStrangersAtOnce = 8;  // burst; one more every kStrangerInterval
  static constexpr Duration kStrangerInterval = std::chrono::milliseconds(250);

  explicit HandshakePolicy(const AllowList& allow_list) : allow_list_(allow_list) {}

  void open_join(bool open) { join_open_ = open; }
  HandshakeVerdict judge(std::string_view domain, const PeerKey& key, TimePoint now);

 private:
  const AllowList& allow_list_;
  bool join_open_ = false;
  uint32_t tokens_ = kStrangersAtOnce;
  TimePoint refilled_at_{0};
};

class ZapHandler {
 public:
  // Must run before any socket of the context is bound.
  static Result<ZapHandler> start(zmq::context_t& context);

  zmq::socket_ref socket() { return socket_; }
  // Answers all requests that wait.
  void serve(HandshakePolicy& policy, TimePoint now);

  uint64_t refused() const { return refused_; }
  // "key XXXXXXXX from ADDRESS is not on the allow list", or empty.
  const std::string& last_refusal() const { return last_refusal_; }

 private:
  explicit ZapHandler(zmq::socket_t socket) : socket_(std::move(socket)) {}
  HandshakeVerdict answer(const std::vector<std::string>& request, HandshakePolicy& policy,
                          TimePoint now, std::string* user_id);

  zmq::socket_t socket_;
  uint64_t refused_ = 0;
  std::string last_refusal_;
};

}  // namespace potluck
