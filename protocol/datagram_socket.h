// The seam to datagrams: what comes from nearby machines, an answer to one of them, a question to
// all of them. Its owner moves datagrams between it and a core. One thread.
#pragma once

#include <optional>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"

namespace potluck {

struct DatagramAddress {
  std::string host;  // as it stands in an endpoint: "192.168.1.7", "[fe80::1%eth0]"
  uint16_t port = 0;

  auto operator<=>(const DatagramAddress&) const = default;
};

struct Datagram {
  // More than any of ours has; what is longer comes cut off.
  static constexpr size_t kMostBytes = 512;

  DatagramAddress from;
  std::string interface;  // by which it came: "eth0"
  bool near = false;      // no router has passed it on: it comes from this network
  ByteVector bytes;
};

class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;
  // The next one, waiting up to `timeout`; nothing when none came.
  virtual std::optional<Datagram> receive(Duration timeout) = 0;
  virtual Status send(const DatagramAddress& to, ByteSpan bytes) = 0;
  // To everyone who listens, on every network of this machine. Fails if it went to none of them.
  virtual Status send_everywhere(ByteSpan bytes) = 0;
};

}  // namespace potluck
