#include "protocol/udp_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/listen_address.h"

namespace potluck {
namespace {

// Groups that no standard has taken: of a site's own (RFC 2365), and of one cable, transient (RFC
// 4291). The numbers at the end are those of the port.
constexpr const char* kGroup4 = "239.255.77.0";
constexpr const char* kGroup6 = "ff12::7700";
// Routers lower it by one, so what arrives with all of it comes from this network.
constexpr int kMostHops = 255;
constexpr Duration kInterfaceInterval = std::chrono::seconds(5);

Error failure(const char* what) {
  return {ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(errno))};
}

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int number() const { return number_; }
  bool open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

template <class Value>
bool set_option(int descriptor, int level, int name, const Value& value) {
  return setsockopt(descriptor, level, name, &value, sizeof value) == 0;
}

// One interface that can send, with what it needs to reach everyone.
struct Interface {
  unsigned index = 0;
  bool loopback = false;
  bool ipv6 = false;
  std::set<uint32_t> broadcasts;  // IPv4, in network order

  bool operator==(const Interface&) const = default;
};

uint32_t ipv4_of(const sockaddr* address) {
  sockaddr_in ipv4;
  std::memcpy(&ipv4, address, sizeof ipv4);
  return ipv4.sin_addr.s_addr;
}

// What the system says of the interfaces that are up.
std::vector<Interface> list_interfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  std::map<unsigned, Interface> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const unsigned index = if_nametoindex(entry->ifa_name);
    if (index == 0) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    Interface& interface = found[index];
    interface.index = index;
    interface.loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
    if (family == AF_INET6) interface.ipv6 = true;
    if (family != AF_INET) continue;
    if (interface.loopback) {
      interface.broadcasts.insert(htonl(INADDR_LOOPBACK | 0x00ffffffU));
    } else if ((entry->ifa_flags & IFF_BROADCAST) != 0 && entry->ifa_broadaddr != nullptr) {
      interface.broadcasts.insert(ipv4_of(entry->ifa_broadaddr));
    }
  }
  std::vector<Interface> interfaces;
  interfaces.reserve(found.size());
  for (auto& [index, interface] : found) interfaces.push_back(std::move(interface));
  return interfaces;
}

sockaddr_storage address4(uint32_t address, uint16_t port) {
  sockaddr_in ipv4{};
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(port);
  ipv4.sin_addr.s_addr = address;
  sockaddr_storage storage{};
  std::memcpy(&storage, &ipv4, sizeof ipv4);
  return storage;
}

sockaddr_storage address6(const in6_addr& address, uint16_t port, unsigned scope) {
  sockaddr_in6 ipv6{};
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(port);
  ipv6.sin6_addr = address;
  ipv6.sin6_scope_id = scope;
  sockaddr_storage storage{};
  std::memcpy(&storage, &ipv6, sizeof ipv6);
  return storage;
}

in6_addr group6() {
  in6_addr group{};
  (void)inet_pton(AF_INET6, kGroup6, &group);
  return group;
}

uint32_t group4() {
  in_addr group{};
  (void)inet_pton(AF_INET, kGroup4, &group);
  return group.s_addr;
}

Result<Descriptor> open_family(int family, uint16_t port) {
  Descriptor opened(socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!opened.open()) return failure("no datagram socket");
  const int number = opened.number();
  bool set = true;
  // Several coordinators on one machine hear the same questions.
  if (port != 0) set = set_option(number, SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET) {
    set = set && set_option(number, SOL_SOCKET, SO_BROADCAST, 1) &&
          set_option(number, IPPROTO_IP, IP_PKTINFO, 1) &&
          set_option(number, IPPROTO_IP, IP_RECVTTL, 1) &&
          set_option(number, IPPROTO_IP, IP_TTL, kMostHops) &&
          set_option(number, IPPROTO_IP, IP_MULTICAST_TTL, kMostHops);
  } else {
    set = set && set_option(number, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
          set_option(number, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
          set_option(number, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
          set_option(number, IPPROTO_IPV6, IPV6_UNICAST_HOPS, kMostHops) &&
          set_option(number, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kMostHops);
  }
  if (!set) return failure("a datagram socket cannot be set up");
  const sockaddr_storage any =
      family == AF_INET ? address4(htonl(INADDR_ANY), port) : address6(in6addr_any, port, 0);
  const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (bind(number, reinterpret_cast<const sockaddr*>(&any), size) != 0) {
    return failure("a datagram socket cannot be bound");
  }
  return opened;
}

// --- receiving -----------------------------------------------------------------------------------

struct Arrival {
  unsigned interface = 0;
  int hops = 0;
};

Arrival read_control(msghdr& header) {
  Arrival arrival;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    auto is = [&](int level, int type) {
      return part->cmsg_level == level && part->cmsg_type == type;
    };
    const unsigned char* data = CMSG_DATA(part);
    if (is(IPPROTO_IP, IP_PKTINFO)) {
      arrival.interface = static_cast<unsigned>(load<in_pktinfo>(data).ipi_ifindex);
    } else if (is(IPPROTO_IPV6, IPV6_PKTINFO)) {
      arrival.interface = load<in6_pktinfo>(data).ipi6_ifindex;
    } else if (is(IPPROTO_IP, IP_TTL) || is(IPPROTO_IPV6, IPV6_HOPLIMIT)) {
      arrival.hops = load<int>(data);
    }
  }
  return arrival;
}

DatagramAddress address_of(const sockaddr_storage& from, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  const auto* address = reinterpret_cast<const sockaddr*>(&from);
  if (getnameinfo(address, size, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return {};
  }
  uint16_t port = 0;  // at the same place for both kinds
  std::memcpy(&port, reinterpret_cast<const char*>(&from) + offsetof(sockaddr_in, sin_port),
              sizeof port);
  return {endpoint_host(host.data()), ntohs(port)};
}

std::optional<Datagram> receive_one(int descriptor) {
  sockaddr_storage from{};
  std::array<std::byte, Datagram::kMostBytes> bytes{};
  alignas(cmsghdr) std::array<char, 256> control{};
  iovec part{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_name = &from;
  header.msg_namelen = sizeof from;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t size = recvmsg(descriptor, &header, 0);
  if (size < 0) return std::nullopt;
  const Arrival arrival = read_control(header);
  std::array<char, IF_NAMESIZE> name{};
  (void)if_indextoname(arrival.interface, name.data());
  return Datagram{address_of(from, header.msg_namelen),
                  name.data(),
                  arrival.hops == kMostHops,
                  {bytes.begin(), bytes.begin() + size}};
}

}  // namespace

struct UdpSocket::State {
  Options options;
  bool listens = false;
  Descriptor ipv4;
  Descriptor ipv6;
  std::vector<Interface> interfaces;
  std::set<unsigned> joined4;
  std::set<unsigned> joined6;
  SystemClock clock;
  TimePoint listed_at{0};
  bool ipv6_turn = false;  // whose turn it is to be received from first

  void look_at_interfaces();
  void join_groups();
  bool send_to(const Descriptor& from, const sockaddr_storage& to, unsigned interface,
               ByteSpan bytes) const;
  std::optional<Datagram> take();
};

void UdpSocket::State::look_at_interfaces() {
  const TimePoint now = clock.now();
  if (listed_at != TimePoint{0} && now - listed_at < kInterfaceInterval) return;
  listed_at = now;
  std::vector<Interface> listed = list_interfaces();
  if (options.loopback_only) {
    std::erase_if(listed, [](const Interface& interface) { return !interface.loopback; });
  }
  if (listed == interfaces) return;
  interfaces = std::move(listed);
  if (listens) join_groups();
}

// An interface that went and came back is another one to the system. Where a group cannot be joined
// (there may be no multicast, or too many groups), broadcasts still come.
void UdpSocket::State::join_groups() {
  std::set<unsigned> present;
  for (const Interface& interface : interfaces) present.insert(interface.index);
  auto gone = [&](unsigned index) { return !present.contains(index); };
  std::erase_if(joined4, gone);
  std::erase_if(joined6, gone);
  for (const Interface& interface : interfaces) {
    if (ipv4.open() && !interface.broadcasts.empty() && !joined4.contains(interface.index)) {
      ip_mreqn wanted{};
      wanted.imr_multiaddr.s_addr = group4();
      wanted.imr_ifindex = static_cast<int>(interface.index);
      if (set_option(ipv4.number(), IPPROTO_IP, IP_ADD_MEMBERSHIP, wanted)) {
        joined4.insert(interface.index);
      }
    }
    if (ipv6.open() && interface.ipv6 && !joined6.contains(interface.index)) {
      ipv6_mreq wanted{group6(), interface.index};
      if (set_option(ipv6.number(), IPPROTO_IPV6, IPV6_JOIN_GROUP, wanted)) {
        joined6.insert(interface.index);
      }
    }
  }
}

// By one interface, for multicast and broadcast; 0: the system chooses.
bool UdpSocket::State::send_to(const Descriptor& from, const sockaddr_storage& to,
                               unsigned interface, ByteSpan bytes) const {
  const bool is6 = to.ss_family == AF_INET6;
  sockaddr_storage address = to;
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> control{};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = is6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!is6 && interface != 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* info = CMSG_FIRSTHDR(&header);
    info->cmsg_level = IPPROTO_IP;
    info->cmsg_type = IP_PKTINFO;
    info->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo chosen{};
    chosen.ipi_ifindex = static_cast<int>(interface);
    store(CMSG_DATA(info), chosen);
  }
  return sendmsg(from.number(), &header, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

// The two kinds in turns, so that a flood of one does not hide the other.
std::optional<Datagram> UdpSocket::State::take() {
  ipv6_turn = !ipv6_turn;
  for (const bool second : {false, true}) {
    const Descriptor& from = ipv6_turn != second ? ipv6 : ipv4;
    if (!from.open()) continue;
    if (auto datagram = receive_one(from.number())) return datagram;
  }
  return std::nullopt;
}

UdpSocket::UdpSocket(std::unique_ptr<State> state) : state_(std::move(state)) {}
UdpSocket::~UdpSocket() = default;

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(const Options& options, bool listens) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->listens = listens;
  const uint16_t port = listens ? options.port : 0;
  Result<Descriptor> ipv4 = open_family(AF_INET, port);
  Result<Descriptor> ipv6 = open_family(AF_INET6, port);
  if (!ipv4 && !ipv6) return ipv4.error();
  if (ipv4) state->ipv4 = std::move(*ipv4);
  if (ipv6) state->ipv6 = std::move(*ipv6);
  state->look_at_interfaces();
  return std::unique_ptr<UdpSocket>(new UdpSocket(std::move(state)));
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::listen(const Options& options) {
  return open(options, true);
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::seek(const Options& options) {
  return open(options, false);
}

std::optional<Datagram> UdpSocket::receive(Duration timeout) {
  state_->look_at_interfaces();
  if (auto datagram = state_->take()) return datagram;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  if (ms <= 0) return std::nullopt;
  // A negative descriptor is passed over.
  std::array<pollfd, 2> waits = {pollfd{state_->ipv4.number(), POLLIN, 0},
                                 pollfd{state_->ipv6.number(), POLLIN, 0}};
  if (poll(waits.data(), waits.size(), static_cast<int>(std::min<int64_t>(ms, 3'600'000))) <= 0) {
    return std::nullopt;
  }
  return state_->take();
}

Status UdpSocket::send(const DatagramAddress& to, ByteSpan bytes) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  std::string host = to.host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo* found = nullptr;
  if (int problem = getaddrinfo(host.c_str(), std::to_string(to.port).c_str(), &hints, &found);
      problem != 0) {
    return Error{ErrorCode::kInvalidArgument, gai_strerror(problem)};
  }
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  sockaddr_storage address{};
  std::memcpy(&address, found->ai_addr, found->ai_addrlen);
  const Descriptor& from = found->ai_family == AF_INET6 ? state_->ipv6 : state_->ipv4;
  if (!from.open() || !state_->send_to(from, address, 0, bytes)) return failure("not sent");
  return {};
}

Status UdpSocket::send_everywhere(ByteSpan bytes) {
  state_->look_at_interfaces();
  const uint16_t port = state_->options.port;
  size_t sent = 0;
  auto send = [&](const Descriptor& from, const sockaddr_storage& to, unsigned interface) {
    if (from.open() && state_->send_to(from, to, interface, bytes)) ++sent;
  };
  for (const Interface& interface : state_->interfaces) {
    for (const uint32_t broadcast : interface.broadcasts) {
      send(state_->ipv4, address4(broadcast, port), interface.index);
    }
    if (!interface.broadcasts.empty()) {
      send(state_->ipv4, address4(group4(), port), interface.index);
    }
    if (interface.ipv6) {
      send(state_->ipv6, address6(group6(), port, interface.index), 0);
    }
  }
  if (sent > 0) return {};
  return Error{ErrorCode::kIo, "no network of this machine takes a question to everyone"};
}

}  // namespace potluck
