// RangeServer: a small HTTP server of one thread on loopback, whose answers a test scripts. Each
// connection carries one request: what it answers is sent as it is, and the connection closed.
#pragma once

#include <atomic>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/thread_annotations.h"

namespace potluck::test {

struct RangeRequest {
  std::string text;  // the whole head
  std::string path;
  uint64_t first = 0;
  uint64_t last = 0;
};

class RangeServer {
 public:
  using Answer = std::function<std::string(const RangeRequest&)>;

  explicit RangeServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        listen(listener_, 16) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~RangeServer() {
    end_ = true;
    thread_.join();
    close(listener_);
  }

  std::string url(const std::string& path, const std::string& host = "127.0.0.1") const {
    return fmt::format("http://{}:{}{}", host, port_, path);
  }
  std::vector<RangeRequest> requests() {
    MutexLock lock(mutex_);
    return requests_;
  }

 private:
  void run() {
    while (!end_) {
      pollfd waiting{listener_, POLLIN, 0};
      if (poll(&waiting, 1, 20) <= 0) continue;
      const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      serve(connection);
      close(connection);
    }
  }
  void serve(int connection) {
    RangeRequest request;
    while (request.text.find("\r\n\r\n") == std::string::npos) {
      pollfd waiting{connection, POLLIN, 0};
      char piece[4096];
      if (poll(&waiting, 1, 2000) <= 0) return;
      const ssize_t got = recv(connection, piece, sizeof piece, 0);
      if (got <= 0) return;
      request.text.append(piece, static_cast<size_t>(got));
    }
    const size_t begin = request.text.find(' ') + 1;
    request.path = request.text.substr(begin, request.text.find(' ', begin) - begin);
    if (size_t at = request.text.find("bytes="); at != std::string::npos) {
      request.first = std::strtoull(request.text.c_str() + at + 6, nullptr, 10);
      const size_t dash = request.text.find('-', at);
      request.last = std::strtoull(request.text.c_str() + dash + 1, nullptr, 10);
    }
    {
      MutexLock lock(mutex_);
      requests_.push_back(request);
    }
    const std::string answer = answer_(request);
    for (size_t sent = 0; sent < answer.size();) {
      const ssize_t more =
          send(connection, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
      if (more <= 0) return;
      sent += static_cast<size_t>(more);
    }
    shutdown(connection, SHUT_WR);
  }

  Answer answer_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> end_{false};
  Mutex mutex_;
  std::vector<RangeRequest> requests_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace potluck::test
