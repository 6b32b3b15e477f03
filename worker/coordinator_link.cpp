#include "worker/coordinator_link.h"

#include <utility>

namespace potluck {

void CoordinatorLink::connect(Channel channel, const std::string& endpoint) {
  actions_.emplace_back(ConnectChannel{coordinator_, channel, endpoint});
}

void CoordinatorLink::disconnect(Channel channel) {
  actions_.emplace_back(DisconnectChannel{coordinator_, channel});
}

void CoordinatorLink::remember(const PoolAddress& pool) {
  actions_.emplace_back(RememberPool{pool});
}

// The coordinator judges by the compute channel whether a worker is alive, so that a bulk transfer
// replaces no heartbeat.
void CoordinatorLink::send(Message message, Channel channel, ByteVector tensor) {
  if (channel == Channel::kCompute) peer_clock_.sent(now());
  actions_.emplace_back(SendMessage{coordinator_, channel, std::move(message), std::move(tensor)});
}

void CoordinatorLink::send_to_worker(const PeerKey& worker, Message message) {
  actions_.emplace_back(SendMessage{worker, Channel::kBulk, std::move(message), {}});
}

void CoordinatorLink::notice(LogLevel level, std::string text, std::vector<LogField> fields) {
  actions_.emplace_back(Notice{coordinator_, std::move(text), level, std::move(fields)});
}

void CoordinatorLink::end(const std::string& reason, bool orderly) {
  leave();
  const LogLevel level = orderly ? LogLevel::kInfo : LogLevel::kWarning;
  actions_.emplace_back(Notice{coordinator_, reason, level, {{"reason", reason}}, true, orderly});
}

void CoordinatorLink::leave() {
  actions_.emplace_back(DisconnectPeer{coordinator_});
  ended_ = true;
}

}  // namespace potluck
