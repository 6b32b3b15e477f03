#include "tools/link_shaper/control_socket.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace potluck::link_shaper {
namespace {

constexpr int kBacklog = 8;
// Frames wait meanwhile; whoever connects speaks at once.
constexpr int kPatienceMilliseconds = 5;

}  // namespace

Result<ControlSocket> ControlSocket::open(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::kInvalidArgument, "control: expected a path of less than 108 bytes"};
  }
  path.copy(address.sun_path, path.size());
  int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  ControlSocket control(descriptor, "");
  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  bool listening = descriptor >= 0 && bind(descriptor, where, sizeof address) == 0;
  if (listening) control.path_ = path;
  listening = listening && chmod(path.c_str(), 0600) == 0 && listen(descriptor, kBacklog) == 0;
  if (listening) return control;
  return Error{ErrorCode::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
}

ControlSocket::ControlSocket(ControlSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::exchange(other.path_, std::string())) {}

ControlSocket::~ControlSocket() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!path_.empty()) unlink(path_.c_str());
}

void ControlSocket::serve(const std::function<std::string(std::string_view)>& execute) const {
  int client = accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  pollfd wait{client, POLLIN, 0};
  std::array<char, 4096> command;
  ssize_t size = -1;
  if (poll(&wait, 1, kPatienceMilliseconds) > 0) size = recv(client, &command, sizeof command, 0);
  if (size > 0) {
    std::string answer = execute({command.data(), static_cast<size_t>(size)});
    (void)!send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
  }
  close(client);
}

}  // namespace potluck::link_shaper
