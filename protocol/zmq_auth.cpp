// The authentication handler by ZeroMQ RFC 27 (ZAP): for each client in a handshake, libzmq's I/O
// thread sends a request over inproc to a fixed address, and holds the handshake until the answer.
#include "protocol/zmq_auth.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";
constexpr std::string_view kZapVersion = "1.0";

// The parts of a request, in order.
enum RequestPart : size_t { kVersion, kRequestId, kDomain, kAddress, kRoute, kMechanism, kKey };
constexpr size_t kRequestParts = 7;

// The parts of the next request; none if there is no request.
std::vector<std::string> receive_request(zmq::socket_ref socket) {
  std::vector<std::string> parts;
  zmq::message_t part;
  while (zmq_receive_part(socket, part)) {
    parts.push_back(part.to_string());
    if (!part.more()) break;
  }
  return parts;
}

void send_reply(zmq::socket_ref socket, const std::string& request_id, HandshakeVerdict verdict,
                const std::string& user_id) {
  const std::string status = std::to_string(static_cast<int>(verdict));
  const std::string_view parts[] = {kZapVersion, request_id, status, "", user_id, ""};
  for (const std::string_view& part : parts) {
    // If the peer is already gone, a lost answer does no harm.
    (void)zmq_send_part(socket, part, &part != &parts[std::size(parts) - 1]);
  }
}

}  // namespace

HandshakeVerdict HandshakePolicy::judge(std::string_view domain, const PeerKey& key,
                                        TimePoint now) {
  // Members before the rate of strangers: a flood of strangers must not use up what members need.
  if (allow_list_.contains(key)) return HandshakeVerdict::kAccept;
  // A domain that is not known is treated like the members': closed.
  if (domain != kJoinDomain || !join_open_) return HandshakeVerdict::kRefuse;
  auto fresh = (now - refilled_at_) / kStrangerInterval;
  if (fresh > 0) {
    refilled_at_ = now;
    tokens_ = static_cast<uint32_t>(std::min<int64_t>(kStrangersAtOnce, tokens_ + fresh));
  }
  if (tokens_ == 0) return HandshakeVerdict::kLater;
  --tokens_;
  return HandshakeVerdict::kAccept;
}

Result<ZapHandler> ZapHandler::start(zmq::context_t& context) {
  if (Status threads = check_zmq_threads(); !threads) return threads.error();
  zmq::socket_t socket;
  Status started = zmq_attempt("authentication handler", [&] {
    socket = zmq::socket_t(context, zmq::socket_type::rep);
    socket.set(zmq::sockopt::linger, 0);
    socket.bind(kZapEndpoint);
  });
  if (!started) return started.error();
  return ZapHandler(std::move(socket));
}

void ZapHandler::serve(HandshakePolicy& policy, TimePoint now) {
  for (;;) {
    std::vector<std::string> request = receive_request(socket_);
    if (request.empty()) return;
    std::string user_id;
    HandshakeVerdict verdict = answer(request, policy, now, &user_id);
    // Answers even what is no ZAP request: a REP socket takes the next request only after a reply.
    send_reply(socket_, request.size() > kRequestId ? request[kRequestId] : "", verdict, user_id);
  }
}

HandshakeVerdict ZapHandler::answer(const std::vector<std::string>& request,
                                    HandshakePolicy& policy, TimePoint now, std::string* user_id) {
  PeerKey key;
  if (request.size() != kRequestParts || request[kVersion] != kZapVersion ||
      request[kMechanism] != "CURVE" || request[kKey].size() != key.bytes.size()) {
    return HandshakeVerdict::kRefuse;
  }
  std::copy(request[kKey].begin(), request[kKey].end(), key.bytes.begin());
  // libzmq attaches it to every message of the connection: later, the key is known without asking
  // again, and regardless of what the peer says about itself.
  *user_id = key.text();
  HandshakeVerdict verdict = policy.judge(request[kDomain], key, now);
  if (verdict == HandshakeVerdict::kRefuse) {
    ++refused_;
    last_refusal_ =
        fmt::format("key {} from {} is not on the allow list", key.brief(), request[kAddress]);
  }
  return verdict;
}

}  // namespace potluck
