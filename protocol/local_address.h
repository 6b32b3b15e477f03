// The addresses of this machine: all of them, and the one by which a connection to some endpoint
// would leave. Asks the system and its routing table; sends nothing. Plain functions; any thread.
#pragma once

#include <string>
#include <vector>

#include <sys/socket.h>

#include "engine/base/result.h"

namespace potluck {

// One address of one network interface that is up.
struct LocalAddress {
  std::string interface;  // "eth0"
  std::string address;    // "192.168.1.7", "2001:db8::7", "fe80::7%eth0"
  bool ipv6 = false;
  bool loopback = false;
  bool link_local = false;  // means something on one cable only
  bool primary = false;     // connections to the rest of the world would use it
};

// Of a network that only exists inside this machine: containers, virtual machines.
bool is_inside(const LocalAddress& address);

// In the system's order; empty if it does not say.
std::vector<LocalAddress> local_addresses();

// "192.168.1.7", or an IPv6 address without brackets. `endpoint` is "tcp://HOST:PORT"; a host name
// is looked up, which may take its time, or with kNumericOnly an error.
enum class HostNames { kLookUp, kNumericOnly };
Result<std::string> local_address_towards(const std::string& endpoint,
                                          HostNames names = HostNames::kLookUp);

// An address as the system writes it, without a port; empty if it cannot be written down.
std::string address_text(const sockaddr_storage& address);

// The local address of a connected socket, as above; empty if it has none.
std::string local_address_of(int descriptor);

// All addresses of a host name; empty if it has none.
std::vector<std::string> look_up_host(const std::string& name);

}  // namespace potluck
