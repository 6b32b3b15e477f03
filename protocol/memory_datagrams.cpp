#include "protocol/memory_datagrams.h"

#include <algorithm>

namespace potluck {

class MemoryDatagrams::Socket final : public DatagramSocket {
 public:
  Socket(MemoryDatagrams& cable, DatagramAddress address, bool listens)
      : cable_(cable), address_(std::move(address)), listens_(listens) {
    cable_.sockets_[address_] = this;
  }
  ~Socket() override { cable_.sockets_.erase(address_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  std::optional<Datagram> receive(Duration) override {
    if (queue_.empty()) return std::nullopt;
    Datagram next = std::move(queue_.front());
    queue_.pop_front();
    return next;
  }
  Status send(const DatagramAddress& to, ByteSpan bytes) override {
    return cable_.deliver(address_, to, bytes);
  }
  Status send_everywhere(ByteSpan bytes) override {
    for (const auto& [address, socket] : cable_.sockets_) {
      if (socket->listens_ && socket != this) (void)cable_.deliver(address_, address, bytes);
    }
    return {};
  }
  void take(Datagram datagram) {
    if (queue_.size() < kQueue) queue_.push_back(std::move(datagram));
  }

 private:
  MemoryDatagrams& cable_;
  DatagramAddress address_;
  bool listens_;
  std::deque<Datagram> queue_;
};

std::unique_ptr<DatagramSocket> MemoryDatagrams::attach(const std::string& host, uint16_t port,
                                                        bool listens) {
  return std::make_unique<Socket>(*this, DatagramAddress{host, port}, listens);
}

Status MemoryDatagrams::deliver(const DatagramAddress& from, const DatagramAddress& to,
                                ByteSpan bytes) {
  sent_bytes_ += bytes.size();
  auto socket = sockets_.find(to);
  if (socket == sockets_.end() || (loss_ && loss_(from.host, to.host))) return {};
  size_t kept = std::min(bytes.size(), Datagram::kMostBytes);
  socket->second->take(
      {from, "cable", true, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(kept)}});
  return {};
}

}  // namespace potluck
