#include "protocol/local_address.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/peer_text.h"

namespace potluck {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};

// A datagram socket that is "connected" has a local address, and nothing was sent.
class DatagramSocket {
 public:
  explicit DatagramSocket(int family) : descriptor_(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~DatagramSocket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  DatagramSocket(const DatagramSocket&) = delete;
  DatagramSocket& operator=(const DatagramSocket&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

Result<std::string> local_name(const addrinfo& to) {
  auto failure = [] { return Error{ErrorCode::kIo, std::strerror(errno)}; };
  DatagramSocket probe(to.ai_family);
  if (probe.descriptor() < 0) return failure();
  if (connect(probe.descriptor(), to.ai_addr, to.ai_addrlen) != 0) return failure();
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  void* address = &own;
  if (getsockname(probe.descriptor(), static_cast<sockaddr*>(address), &size) != 0) {
    return failure();
  }
  std::array<char, NI_MAXHOST> name{};
  int problem = getnameinfo(static_cast<sockaddr*>(address), size, name.data(), name.size(),
                            nullptr, 0, NI_NUMERICHOST);
  if (problem != 0) return Error{ErrorCode::kIo, gai_strerror(problem)};
  return std::string(name.data());
}

}  // namespace

Result<std::string> local_address_towards(const std::string& endpoint) {
  if (Status fits = check_endpoint(endpoint); !fits) return fits.error();
  constexpr size_t kScheme = 6;  // "tcp://"
  size_t colon = endpoint.rfind(':');
  std::string host = endpoint.substr(kScheme, colon - kScheme);
  std::string port = endpoint.substr(colon + 1);
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (int problem = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); problem != 0) {
    return Error{ErrorCode::kIo, fmt::format("{}: {}", endpoint, gai_strerror(problem))};
  }
  std::unique_ptr<addrinfo, FreeAddresses> addresses(found);
  Result<std::string> name = local_name(*addresses);
  if (!name) return name.error().in(endpoint);
  return name;
}

}  // namespace potluck
