// Listening TCP sockets of our own making, for libzmq to accept from: with an error for people, all
// kinds of addresses, and ready for the limits of a ConnectionGate. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"

namespace potluck {

// Owns the descriptor until release().
class ListenSocket {
 public:
  // `host` is a numeric address: "192.168.1.7", "[fe80::1%eth0]", "0.0.0.0" and "[::]" for all
  // interfaces of one kind ("[::]" takes IPv4, too, where the system allows it). Port 0: any that
  // is free. The error says what is the matter with host and port.
  static Result<ListenSocket> open(const std::string& host, uint32_t port);
  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&& other) noexcept;
  ~ListenSocket();

  int descriptor() const { return descriptor_; }
  uint16_t port() const { return port_; }
  int release();

 private:
  ListenSocket(int descriptor, uint16_t port) : descriptor_(descriptor), port_(port) {}

  int descriptor_;
  uint16_t port_;
};

}  // namespace potluck
