#include "protocol/control_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/bytes.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

constexpr const char* kSocketName = "control";
constexpr size_t kAnswerBytes = kMiB;
// A client that is slower is no command of ours.
constexpr Duration kClientTime = std::chrono::seconds(2);
constexpr Duration kStopLook = std::chrono::milliseconds(100);
constexpr int kControlBacklog = 8;

class OwnedFile {
 public:
  explicit OwnedFile(int number) : number_(number) {}
  ~OwnedFile() {
    if (number_ >= 0) close(number_);
  }
  OwnedFile(const OwnedFile&) = delete;
  OwnedFile& operator=(const OwnedFile&) = delete;
  int number() const { return number_; }
  bool open() const { return number_ >= 0; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

Error control_failure(const std::string& directory, const char* what) {
  return {ErrorCode::kIo,
          fmt::format("{}/{}: {}: {}", directory, kSocketName, what, std::strerror(errno))};
}

// A path that fits: addresses of Unix sockets have 107 characters, and directories may have more.
sockaddr_un address_in(const OwnedFile& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", directory.number(), kSocketName);
  std::copy(path.begin(), path.end(), address.sun_path);
  return address;
}

int open_directory(const std::string& path) {
  return open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool wait_for(int descriptor, short events, TimePoint deadline, const Clock& clock) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock.now()).count();
  if (left <= 0) return false;
  pollfd waited{descriptor, events, 0};
  return poll(&waited, 1, static_cast<int>(std::min<int64_t>(left, 60'000))) > 0;
}

bool write_all(int descriptor, std::string_view text, TimePoint deadline, const Clock& clock) {
  while (!text.empty()) {
    const ssize_t written = send(descriptor, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written > 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (!wait_for(descriptor, POLLOUT, deadline, clock)) {
      return false;
    }
  }
  return true;
}

// Up to the first line break or the end; nothing if it is longer or takes too long.
std::optional<std::string> read_text(int descriptor, size_t limit, bool line, TimePoint deadline,
                                     const Clock& clock) {
  std::string text;
  for (;;) {
    if (!wait_for(descriptor, POLLIN, deadline, clock)) return std::nullopt;
    std::array<char, 4096> piece;
    const ssize_t size = recv(descriptor, piece.data(), piece.size(), MSG_DONTWAIT);
    if (size < 0) {
      if (errno == EAGAIN || errno == EINTR) continue;
      return std::nullopt;
    }
    text.append(piece.data(), static_cast<size_t>(size));
    const size_t end = line ? text.find('\n') : std::string::npos;
    if (end != std::string::npos) return text.substr(0, end);
    if (size == 0) return text;
    if (text.size() > limit) return std::nullopt;
  }
}

// The socket's permissions say so already; this holds where a file system has none.
bool is_same_account(int client) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == geteuid() || peer.uid == 0);
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& directory,
                                                            ControlHandler handler) {
  OwnedFile place(open_directory(directory));
  if (!place.open()) return control_failure(directory, "no such directory");
  (void)unlinkat(place.number(), kSocketName, 0);
  OwnedFile listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_un address = address_in(place);
  // Before it has a name, so that there is no moment at which others may connect.
  const bool bound =
      listener.open() && fchmod(listener.number(), S_IRUSR | S_IWUSR) == 0 &&
      bind(listener.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener.number(), kControlBacklog) == 0;
  if (!bound) return control_failure(directory, "cannot listen");
  std::unique_ptr<ControlServer> server(
      new ControlServer(directory, listener.release(), std::move(handler)));
  auto thread = start_thread([made = server.get()] { made->run(); });
  if (!thread) return thread.error();
  server->thread_ = std::move(*thread);
  return server;
}

ControlServer::ControlServer(std::string directory, int listener, ControlHandler handler)
    : directory_(std::move(directory)), listener_(listener), handler_(std::move(handler)) {}

ControlServer::~ControlServer() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  close(listener_);
  OwnedFile place(open_directory(directory_));
  if (place.open()) (void)unlinkat(place.number(), kSocketName, 0);
}

void ControlServer::run() {
  const SystemClock clock;
  while (!stop_) {
    if (!wait_for(listener_, POLLIN, clock.now() + kStopLook, clock)) continue;
    OwnedFile client(accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
    if (client.open() && is_same_account(client.number())) serve(client.number());
  }
}

void ControlServer::serve(int client) const {
  const SystemClock clock;
  const TimePoint deadline = clock.now() + kClientTime;
  auto question = read_text(client, kQuestionBytes, true, deadline, clock);
  if (!question || question->size() > kQuestionBytes) return;
  const std::string answer = handler_(*question);
  (void)write_all(client, answer, clock.now() + kClientTime, clock);
}

Result<std::string> ask_control(const std::string& directory, const std::string& question,
                                Duration patience) {
  const SystemClock clock;
  const TimePoint deadline = clock.now() + patience;
  const Error nobody{ErrorCode::kNotFound, directory + ": nothing runs here"};
  OwnedFile place(open_directory(directory));
  if (!place.open()) return nobody;
  OwnedFile client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!client.open()) return control_failure(directory, "no socket");
  const sockaddr_un address = address_in(place);
  if (connect(client.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return nobody;
    return control_failure(directory, "cannot connect");
  }
  auto answer = write_all(client.number(), question + "\n", deadline, clock)
                    ? read_text(client.number(), kAnswerBytes, false, deadline, clock)
                    : std::nullopt;
  if (!answer || answer->empty()) {
    return Error{ErrorCode::kTimeout,
                 fmt::format("{}: no answer from the process that runs here", directory)};
  }
  return std::move(*answer);
}

}  // namespace potluck
