#include "protocol/local_address.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/peer_text.h"

namespace potluck {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
  void operator()(ifaddrs* addresses) const { freeifaddrs(addresses); }
};
using FoundAddresses = std::unique_ptr<addrinfo, FreeAddresses>;

// connect() on a datagram socket sends nothing (udp(7)), but makes the kernel choose a route, and
// with it the local address that a connection would have.
class RouteProbe {
 public:
  explicit RouteProbe(int family) : descriptor_(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~RouteProbe() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  RouteProbe(const RouteProbe&) = delete;
  RouteProbe& operator=(const RouteProbe&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// "" if it cannot be written down.
std::string numeric(const sockaddr* address, socklen_t size) {
  std::array<char, NI_MAXHOST> name{};
  int problem = getnameinfo(address, size, name.data(), name.size(), nullptr, 0, NI_NUMERICHOST);
  return problem == 0 ? name.data() : "";
}

Result<std::string> local_name(const addrinfo& to) {
  auto failure = [] { return Error{ErrorCode::kIo, std::strerror(errno)}; };
  RouteProbe probe(to.ai_family);
  if (probe.descriptor() < 0) return failure();
  if (connect(probe.descriptor(), to.ai_addr, to.ai_addrlen) != 0) return failure();
  std::string name = local_address_of(probe.descriptor());
  if (name.empty()) return Error{ErrorCode::kIo, "the connection has no local address"};
  return name;
}

Result<FoundAddresses> look_up(const std::string& host, const std::string& port, int flags = 0) {
  addrinfo hints{};
  hints.ai_flags = flags;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (int problem = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); problem != 0) {
    return Error{ErrorCode::kIo, gai_strerror(problem)};
  }
  return FoundAddresses(found);
}

// Link-local IPv4 is 169.254.0.0/16 (RFC 3927): what a machine gives itself when no DHCP server
// answered.
LocalAddress describe(const ifaddrs& entry) {
  constexpr uint8_t kLinkLocal[] = {169, 254};
  LocalAddress found;
  found.interface = entry.ifa_name;
  found.ipv6 = entry.ifa_addr->sa_family == AF_INET6;
  found.loopback = (entry.ifa_flags & IFF_LOOPBACK) != 0;
  if (found.ipv6) {
    sockaddr_in6 address;
    std::memcpy(&address, entry.ifa_addr, sizeof address);
    found.link_local = IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr);
    found.address = numeric(entry.ifa_addr, sizeof address);
  } else {
    sockaddr_in address;
    std::memcpy(&address, entry.ifa_addr, sizeof address);
    found.link_local = std::memcmp(&address.sin_addr, kLinkLocal, sizeof kLinkLocal) == 0;
    found.address = numeric(entry.ifa_addr, sizeof address);
  }
  return found;
}

}  // namespace

bool is_inside(const LocalAddress& address) {
  constexpr std::array<std::string_view, 6> kInside = {"docker", "br-", "veth",
                                                       "virbr",  "lxc", "podman"};
  return std::any_of(kInside.begin(), kInside.end(), [&](std::string_view prefix) {
    return address.interface.starts_with(prefix);
  });
}

std::vector<LocalAddress> local_addresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  std::unique_ptr<ifaddrs, FreeAddresses> owner(list);
  // Addresses for documentation (RFC 5737, RFC 3849), which belong to no host: only the way to the
  // rest of the world is asked for.
  auto ipv4 = local_address_towards("tcp://192.0.2.1:9");
  auto ipv6 = local_address_towards("tcp://[2001:db8::1]:9");
  std::vector<LocalAddress> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    LocalAddress address = describe(*entry);
    if (address.address.empty()) continue;
    address.primary = (ipv4 && address.address == *ipv4) || (ipv6 && address.address == *ipv6);
    found.push_back(std::move(address));
  }
  return found;
}

Result<std::string> local_address_towards(const std::string& endpoint, HostNames names) {
  if (Status fits = check_endpoint(endpoint); !fits) return fits.error();
  constexpr size_t kScheme = 6;  // "tcp://"
  size_t colon = endpoint.rfind(':');
  std::string host = endpoint.substr(kScheme, colon - kScheme);
  std::string port = endpoint.substr(colon + 1);
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  auto addresses = look_up(host, port, names == HostNames::kNumericOnly ? AI_NUMERICHOST : 0);
  if (!addresses) return addresses.error().in(endpoint);
  Result<std::string> name = local_name(**addresses);
  if (!name) return name.error().in(endpoint);
  return name;
}

std::string address_text(const sockaddr_storage& address) {
  const void* of_any_family = &address;
  return numeric(static_cast<const sockaddr*>(of_any_family), sizeof address);
}

std::string local_address_of(int descriptor) {
  constexpr std::string_view kMapped = "::ffff:";  // IPv4, on a socket that takes both
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  void* address = &own;
  if (getsockname(descriptor, static_cast<sockaddr*>(address), &size) != 0) return {};
  std::string name = address_text(own);
  return name.starts_with(kMapped) ? name.substr(kMapped.size()) : name;
}

std::vector<std::string> look_up_host(const std::string& name) {
  std::vector<std::string> found;
  auto addresses = look_up(name, "0");
  if (!addresses) return found;
  for (const addrinfo* entry = addresses->get(); entry != nullptr; entry = entry->ai_next) {
    std::string address = numeric(entry->ai_addr, entry->ai_addrlen);
    if (!address.empty()) found.push_back(std::move(address));
  }
  return found;
}

}  // namespace potluck
