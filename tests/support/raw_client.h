// RawClient: a TCP connection to this machine that sends and receives bytes as they are, so that
// tests can be clients of any kind. Blocks, for a minute at most. One thread.
#pragma once

#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace potluck::test {

class RawClient {
 public:
  // `receive_bytes`: of the socket's buffer; 0: the system's choice.
  explicit RawClient(uint16_t port, int receive_bytes = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_bytes > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    const timeval patience{60, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void finish_sending() { ::shutdown(socket_, SHUT_WR); }

  // False if the other side does not take it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // The one that has something to receive, or the end: the first if both have.
  static RawClient& first_to_receive(RawClient& a, RawClient& b) {
    pollfd waits[] = {{a.socket_, POLLIN, 0}, {b.socket_, POLLIN, 0}};
    EXPECT_GT(::poll(waits, 2, 60'000), 0);
    return waits[0].revents != 0 ? a : b;
  }

  // Until the bytes contain `mark`, or the other side closes; returns them all.
  std::string receive_until(std::string_view mark) {
    while (received_.find(mark) == std::string::npos && receive_some()) continue;
    const size_t at = received_.find(mark);
    const size_t end = at == std::string::npos ? received_.size() : at + mark.size();
    std::string taken = received_.substr(0, end);
    received_.erase(0, end);
    return taken;
  }
  std::string receive_all() {
    while (receive_some()) continue;
    return std::exchange(received_, {});
  }
  // Whether the other side has closed, after whatever it sent before.
  bool sees_end() {
    while (receive_some()) continue;
    return ended_;
  }

 private:
  bool receive_some() {
    char buffer[16384];
    const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    if (got > 0) received_.append(buffer, static_cast<size_t>(got));
    ended_ = got == 0 || (got < 0 && errno != EAGAIN);
    return got > 0;
  }

  int socket_;
  std::string received_;
  bool ended_ = false;
};

}  // namespace potluck::test
