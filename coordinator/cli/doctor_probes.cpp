#include "coordinator/cli/doctor_probes.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>

namespace potluck {
namespace {

constexpr int kAnswerMilliseconds = 2000;

class ProbeSocket {
 public:
  ProbeSocket(int family, int type) : descriptor_(socket(family, type | SOCK_CLOEXEC, 0)) {}
  ~ProbeSocket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  ProbeSocket(const ProbeSocket&) = delete;
  ProbeSocket& operator=(const ProbeSocket&) = delete;

  int number() const { return descriptor_; }
  bool open() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

// Addresses of private networks (RFC 1918, 6598, 4193), of one cable, and of this machine.
bool is_private(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const uint32_t host = ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
    return host >> 24 == 127 || host >> 24 == 10 || host >> 16 == 0xA9FE || host >> 16 == 0xC0A8 ||
           host >> 20 == 0xAC1 || host >> 22 == 0x191;
  }
  if (address->sa_family != AF_INET6) return false;
  const in6_addr& host = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&host) || IN6_IS_ADDR_LINKLOCAL(&host) ||
         (host.s6_addr[0] & 0xFE) == 0xFC;
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

// Names would be asked of a server that may be anywhere: with `numeric` they are not.
Addresses find_addresses(const std::string& host, uint16_t port, bool numeric) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = numeric ? AI_NUMERICHOST : 0;
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port);
  if (getaddrinfo(host.c_str(), service.c_str(), &hints, &found) != 0) return nullptr;
  return Addresses(found);
}

struct ProbedTrip {
  double round_trip = 0;  // seconds; 0: no connection
  uint32_t resent = 0;
  std::string trouble;
};

// 0 once it is connected, else an error number.
int wait_for_connection(int descriptor, Duration patience) {
  pollfd wait{descriptor, POLLOUT, 0};
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
  const int ready = poll(&wait, 1, static_cast<int>(milliseconds.count()));
  if (ready <= 0) return ready == 0 ? ETIMEDOUT : errno;
  int error = 0;
  socklen_t size = sizeof error;
  (void)getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

// What a server sends until it closes, or until the head of its answer is whole.
std::string answer_head(int descriptor) {
  constexpr size_t kMost = 16 * 1024;
  constexpr std::string_view kRequest = "GET /health HTTP/1.0\r\n\r\n";
  std::string head;
  if (send(descriptor, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0) return head;
  while (head.size() < kMost && head.find("\r\n\r\n") == std::string::npos) {
    pollfd wait{descriptor, POLLIN, 0};
    if (poll(&wait, 1, kAnswerMilliseconds) <= 0) break;
    char piece[1024];
    const ssize_t length = recv(descriptor, piece, sizeof piece, 0);
    if (length <= 0) break;
    head.append(piece, static_cast<size_t>(length));
  }
  return head;
}

ProbedTrip try_once(const addrinfo& address, const Clock& clock) {
  ProbedTrip trip;
  const ProbeSocket probe(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK);
  int error = probe.open() ? 0 : errno;
  const TimePoint begin = clock.now();
  if (error == 0 && connect(probe.number(), address.ai_addr, address.ai_addrlen) != 0) {
    error =
        errno == EINPROGRESS ? wait_for_connection(probe.number(), SystemProbes::kPatience) : errno;
  }
  const std::chrono::duration<double> took = clock.now() - begin;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (probe.open() && getsockopt(probe.number(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
    trip.resent = info.tcpi_total_retrans;
  }
  if (error != 0) {
    trip.trouble = std::strerror(error);
    return trip;
  }
  // A handshake whose packets were sent again took longer than one trip.
  const double seen = info.tcpi_rtt > 0 ? info.tcpi_rtt * 1e-6 : took.count();
  trip.round_trip = std::max(trip.resent > 0 ? seen : took.count(), 1e-6);
  return trip;
}

}  // namespace

std::optional<int64_t> date_in(const std::string& head) {
  constexpr std::string_view kName = "\r\ndate:";
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  const auto found = std::search(head.begin(), head.end(), kName.begin(), kName.end(), same);
  if (found == head.end()) return std::nullopt;
  const auto begin = found + static_cast<std::ptrdiff_t>(kName.size());
  const std::string text(begin, std::find(begin, head.end(), '\r'));
  tm parts{};
  // The one form that servers send (RFC 9110, 5.6.7).
  if (strptime(text.c_str(), " %a, %d %b %Y %H:%M:%S GMT", &parts) == nullptr) return std::nullopt;
  return timegm(&parts);
}

std::optional<bool> SystemProbes::clock_kept() {
  timex state{};
  if (adjtimex(&state) < 0) return std::nullopt;
  return (state.status & STA_UNSYNC) == 0;
}

std::optional<bool> SystemProbes::port_free(uint16_t port, bool udp) {
  const ProbeSocket probe(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM);
  if (!probe.open()) return std::nullopt;
  // Connections that ended a minute ago keep no program from listening; UDP has none.
  const int reuse = udp ? 0 : 1;
  (void)setsockopt(probe.number(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (bind(probe.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return true;
  }
  if (errno == EADDRINUSE) return false;
  return std::nullopt;
}

// The request of the wireless extensions, which all drivers still answer (linux/wireless.h, which
// cannot stand beside net/if.h).
std::optional<bool> SystemProbes::saves_power(const std::string& interface) {
  constexpr unsigned long kGetPower = 0x8B2D;  // SIOCGIWPOWER
  struct {
    char name[16];
    int32_t value;
    uint8_t fixed;
    uint8_t disabled;
    uint16_t flags;
    uint8_t rest[8];
  } request{};
  if (interface.size() >= sizeof request.name) return std::nullopt;
  std::memcpy(request.name, interface.data(), interface.size());
  const ProbeSocket probe(AF_INET, SOCK_DGRAM);
  if (!probe.open() || ioctl(probe.number(), kGetPower, &request) != 0) return std::nullopt;
  return request.disabled == 0;
}

std::optional<int64_t> SystemProbes::remote_clock(const std::string& host, uint16_t port,
                                                  bool local_only) {
  const Addresses addresses = find_addresses(host, port, local_only);
  if (addresses == nullptr || (local_only && !is_private(addresses->ai_addr))) return std::nullopt;
  const ProbeSocket probe(addresses->ai_family, SOCK_STREAM | SOCK_NONBLOCK);
  if (!probe.open()) return std::nullopt;
  int error = connect(probe.number(), addresses->ai_addr, addresses->ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) error = wait_for_connection(probe.number(), kPatience);
  if (error != 0) return std::nullopt;
  return date_in(answer_head(probe.number()));
}

LinkFact SystemProbes::measure_link(const std::string& host, uint16_t port, bool local_only) {
  LinkFact link;
  link.place = fmt::format("{}:{}", host, port);
  const Addresses addresses = find_addresses(host, port, local_only);
  if (addresses == nullptr) {
    link.tried = local_only ? 0 : 1;
    link.trouble = "no address was found for this name";
    return link;
  }
  if (local_only && !is_private(addresses->ai_addr)) return link;
  std::vector<double> trips;
  uint32_t silent = 0;
  while (link.tried < kTries && silent < kSilent) {
    const ProbedTrip trip = try_once(*addresses, clock_);
    ++link.tried;
    link.resent += trip.resent;
    silent = trip.round_trip > 0 ? 0 : silent + 1;
    if (trip.round_trip <= 0) {
      link.trouble = trip.trouble;
      continue;
    }
    trips.push_back(trip.round_trip);
  }
  link.answered = static_cast<uint32_t>(trips.size());
  if (trips.empty()) return link;
  std::sort(trips.begin(), trips.end());
  link.round_trip = trips[trips.size() / 2];
  link.slowest = trips.back();
  return link;
}

}  // namespace potluck
