// UdpSocket: datagrams over UDP, IPv4 and IPv6. A listener hears questions to everyone: it has
// joined a multicast group on every interface and hears broadcasts; several on one machine share
// the port. A seeker has a port of its own, asks everyone, and hears the answers. Where a machine
// has only one kind of IP, or a network takes no multicast, the rest works. Asks the system for its
// interfaces now and then, since they come and go. One thread.
#pragma once

#include <memory>

#include "protocol/datagram_socket.h"

namespace potluck {

class UdpSocket final : public DatagramSocket {
 public:
  // For tests of their own, which must not hear each other.
  struct Options {
    uint16_t port = 0;  // of those who listen
    bool loopback_only = false;
  };

  static Result<std::unique_ptr<UdpSocket>> listen(const Options& options);
  static Result<std::unique_ptr<UdpSocket>> seek(const Options& options);
  ~UdpSocket() override;

  std::optional<Datagram> receive(Duration timeout) override;
  Status send(const DatagramAddress& to, ByteSpan bytes) override;
  Status send_everywhere(ByteSpan bytes) override;

 private:
  struct State;
  explicit UdpSocket(std::unique_ptr<State> state);
  static Result<std::unique_ptr<UdpSocket>> open(const Options& options, bool listens);
  std::unique_ptr<State> state_;
};

}  // namespace potluck
