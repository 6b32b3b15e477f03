// DatagramSockets in memory: one cable to which all of them are attached, for tests. Datagrams
// arrive at once, in order, unless they are lost. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>

#include "protocol/datagram_socket.h"

namespace potluck {

class MemoryDatagrams {
 public:
  // Whether a datagram is lost; empty: none is.
  using Loss = std::function<bool(const std::string& from, const std::string& to)>;

  // Sockets must not outlive the cable. `host` names one of them; listeners hear questions to all.
  std::unique_ptr<DatagramSocket> attach(const std::string& host, uint16_t port, bool listens);
  void set_loss(Loss loss) { loss_ = std::move(loss); }
  uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  class Socket;
  static constexpr size_t kQueue = 256;  // what is not taken is lost

  Status deliver(const DatagramAddress& from, const DatagramAddress& to, ByteSpan bytes);

  std::map<DatagramAddress, Socket*> sockets_;
  Loss loss_;
  uint64_t sent_bytes_ = 0;
};

}  // namespace potluck
