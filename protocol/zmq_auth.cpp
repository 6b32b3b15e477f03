#include "protocol/zmq_auth.h"

#include <algorithm>

#include <fmt/format.h>
#include <zmq.h>

namespace potluck {
namespace {

constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";
constexpr std::string_view kZapVersion = "1.0";

// The parts of a request, in order.
enum RequestPart : size_t { kVersion, kRequestId, kDomain, kAddress, kRoute, kMechanism, kKey };
constexpr size_t kRequestParts = 7;

// The parts of the next request; none if there is no request.
std::vector<std::string> receive_request(void* socket) {
  std::vector<std::string> parts;
  bool more = true;
  while (more) {
    zmq_msg_t part;
    zmq_msg_init(&part);
    more = zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0;
    if (more) {
      parts.emplace_back(static_cast<const char*>(zmq_msg_data(&part)), zmq_msg_size(&part));
      more = zmq_msg_more(&part) != 0;
    }
    zmq_msg_close(&part);
  }
  return parts;
}

void send_reply(void* socket, const std::string& request_id, HandshakeVerdict verdict,
                const std::string& user_id) {
  const std::string status = std::to_string(static_cast<int>(verdict));
  const std::string_view parts[] = {kZapVersion, request_id, status, "", user_id, ""};
  for (const std::string_view& part : parts) {
    int flags = &part == &parts[std::size(parts) - 1] ? 0 : ZMQ_SNDMORE;
    // If the peer is gone already, nobody misses the answer.
    zmq_send(socket, part.data(), part.size(), flags | ZMQ_DONTWAIT);
  }
}

}  // namespace

HandshakeVerdict HandshakePolicy::judge(std::string_view domain, const PeerKey& key,
                                        TimePoint now) {
  if (allow_list_.contains(key)) return HandshakeVerdict::kAccept;
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

Result<ZapHandler> ZapHandler::start(void* context) {
  if (Status threads = check_zmq_threads(); !threads) return threads.error();
  ZmqSocket socket(zmq_socket(context, ZMQ_REP));
  if (socket == nullptr) return zmq_error("authentication handler");
  int no_linger = 0;
  if (zmq_setsockopt(socket.get(), ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
      zmq_bind(socket.get(), kZapEndpoint) != 0) {
    return zmq_error("authentication handler");
  }
  return ZapHandler(std::move(socket));
}

void ZapHandler::serve(HandshakePolicy& policy, TimePoint now) {
  for (;;) {
    std::vector<std::string> request = receive_request(socket_.get());
    if (request.empty()) return;
    std::string user_id;
    HandshakeVerdict verdict = answer(request, policy, now, &user_id);
    send_reply(socket_.get(), request.size() > kRequestId ? request[kRequestId] : "", verdict,
               user_id);
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
