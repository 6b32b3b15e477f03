#include "coordinator/cli/line_reader.h"

#include <algorithm>

#include <poll.h>
#include <unistd.h>

#include "engine/base/limits.h"

namespace potluck {

std::optional<std::string> LineReader::next(Duration patience) {
  size_t end = buffer_.find('\n');
  if (end == std::string::npos) {
    read_available(patience);
    end = buffer_.find('\n');
  }
  if (end == std::string::npos && (!closed_ || buffer_.empty())) return std::nullopt;
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end == std::string::npos ? end : end + 1);
  return line;
}

void LineReader::read_available(Duration patience) {
  if (closed_) return;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  if (poll(&input, 1, static_cast<int>(wait)) <= 0) return;
  char chunk[4096];
  const ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
  closed_ = got <= 0 || buffer_.size() > limits::kPromptBytes;
  if (got > 0) buffer_.append(chunk, static_cast<size_t>(got));
}

}  // namespace potluck
