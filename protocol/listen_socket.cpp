#include "protocol/listen_socket.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace potluck {
namespace {

// Connections that may wait until libzmq's thread accepts them: it is quick.
constexpr int kBacklog = 128;

int set_flag(int descriptor, int level, int option, int value) {
  return setsockopt(descriptor, level, option, &value, sizeof value);
}

bool start_listening(int descriptor, const addrinfo& where) {
  // Connections of the previous run may stay in TIME_WAIT for a minute; without this flag a
  // coordinator that restarts could not listen on its port until then.
  if (set_flag(descriptor, SOL_SOCKET, SO_REUSEADDR, 1) != 0) return false;
  // Keeps the packet that opened a connection, from whose sequence number a gate counts the bytes
  // of the stream. Connections inherit the flag, so it has to be set before any arrives. Where the
  // system does not know it, the gate does without.
  (void)set_flag(descriptor, IPPROTO_TCP, TCP_SAVE_SYN, 1);
  // The default is a setting of the system (net.ipv6.bindv6only).
  if (where.ai_family == AF_INET6) (void)set_flag(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  return bind(descriptor, where.ai_addr, where.ai_addrlen) == 0 &&
         listen(descriptor, kBacklog) == 0;
}

uint16_t port_of(int descriptor) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size) != 0) return 0;
  sockaddr_in ipv4;  // the port stands at the same place in both kinds
  std::memcpy(&ipv4, &own, sizeof ipv4);
  return ntohs(ipv4.sin_port);
}

std::string explain(int number) {
  switch (number) {
    case EADDRINUSE:
      return "the port is taken by another program; choose another one";
    case EADDRNOTAVAIL:
      return "that is no address of this machine";
    case EACCES:
      return "ports below 1024 are for the system; choose another one";
    case EMFILE:
      return "too many open files; raise the limit (ulimit -n)";
    default:
      return std::strerror(number);
  }
}

}  // namespace

Result<ListenSocket> ListenSocket::open(const std::string& host, uint32_t port) {
  auto failure = [&](const std::string& why) {
    return Error{ErrorCode::kIo, fmt::format("cannot listen on {}:{}: {}", host, port, why)};
  };
  std::string bare = host.front() == '[' ? host.substr(1, host.size() - 2) : host;
  addrinfo hints{};
  // Never asks a name server: names were resolved by find_listen_place().
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int problem = getaddrinfo(bare.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (problem != 0) return failure(gai_strerror(problem));
  // A connection that was announced can be gone before it is accepted; accept() on a blocking
  // socket would then wait for the next one (accept(2)), and libzmq's thread with it.
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> where(found, &freeaddrinfo);
  int descriptor = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return failure(explain(errno));
  ListenSocket socket(descriptor, 0);
  if (!start_listening(descriptor, *where)) return failure(explain(errno));
  socket.port_ = port_of(descriptor);
  return socket;
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), port_(other.port_) {}

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(port_, other.port_);
  return *this;
}

ListenSocket::~ListenSocket() {
  if (descriptor_ >= 0) close(descriptor_);
}

int ListenSocket::release() {
  return std::exchange(descriptor_, -1);
}

}  // namespace potluck
