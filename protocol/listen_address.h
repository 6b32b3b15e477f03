// Where to listen, as people write it: the one parser for every --listen and its relatives, and
// what it means on this machine. Pure functions (what this machine is called is passed in); any
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/local_address.h"

namespace potluck {

// "HOST:PORT": HOST is an IPv4 address, an IPv6 address in brackets (with its scope, if it has one:
// "[fe80::1%eth0]"), a host name, a network interface ("eth0"), or "*" for all interfaces; PORT is
// 0 (any) to 65535. Blanks around it do not matter.
struct ListenAddress {
  std::string host;
  uint16_t port = 0;

  bool operator==(const ListenAddress&) const = default;
};

Result<ListenAddress> parse_listen_address(std::string_view text);

// "HOST" or "HOST:PORT", by which others reach this machine where it does not know so itself:
// behind a NAT, in a container. The host as it stands in an endpoint; port 0: not said.
struct AdvertisedHost {
  std::string host;
  uint16_t port = 0;

  bool operator==(const AdvertisedHost&) const = default;
};

Result<AdvertisedHost> parse_advertised_host(std::string_view text);

// What is known about this machine and its names.
struct MachineNames {
  std::vector<LocalAddress> addresses;
  // The addresses of a host name; empty if it has none.
  std::function<std::vector<std::string>(const std::string&)> look_up;
};

MachineNames this_machine();

struct ListenPlace {
  std::string bind_host;  // a numeric address, as ListenSocket::open() takes it
  // Hosts by which other devices reach it, the most likely first, fit for an endpoint. Never empty.
  // Of several addresses in one IPv6 network, one.
  std::vector<std::string> reachable;
  bool all_interfaces = false;

  // Only this machine can reach it.
  bool loopback_only = false;
};

// What a host as above means here. Errors say what this machine has to offer.
Result<ListenPlace> find_listen_place(const std::string& host, const MachineNames& machine);

// A host as it stands in an endpoint: IPv6 addresses get their brackets.
std::string endpoint_host(const std::string& address);

}  // namespace potluck
