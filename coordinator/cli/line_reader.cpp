#include "coordinator/cli/line_reader.h"

#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

constexpr Duration kReadTurn = std::chrono::milliseconds(100);
// What a terminal keeps of a line; it drops the rest without a word (N_TTY_BUF_SIZE of Linux).
constexpr size_t kTerminalLine = 4095;

}  // namespace

Result<std::optional<std::string>> LineReader::next(const std::string& prompt,
                                                    const WhileWaiting& while_waiting) {
  if (prompts_) terminal_.text(prompt);
  while (true) {
    const size_t end = buffer_.find('\n');
    // The last line may have no line end.
    const bool whole = end != std::string::npos || (closed_ && !buffer_.empty());
    if (whole) {
      std::string line = take_line(end);
      // The rest of a line that was too long is no message of its own.
      if (std::exchange(skips_, false)) continue;
      if (Status good = check(line); !good) return good.error();
      return std::optional(std::move(line));
    }
    if (closed_) return std::optional<std::string>();
    if (buffer_.size() > limits::kPromptBytes) {
      buffer_.clear();
      if (std::exchange(skips_, true)) continue;
      return Error{ErrorCode::kLimit, fmt::format("not sent: a line of more than {}",
                                                  format_bytes(limits::kPromptBytes))};
    }
    if (!while_waiting()) return std::optional<std::string>();
    read_available(kReadTurn);
  }
}

std::string LineReader::take_line(size_t end) {
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end == std::string::npos ? end : end + 1);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

Status LineReader::check(const std::string& line) const {
  if (prompts_ && line.size() >= kTerminalLine) {
    return Error{ErrorCode::kLimit,
                 fmt::format("not sent: this terminal cuts lines after {} bytes; give long text in "
                             "a file: potluck run .. < FILE",
                             kTerminalLine)};
  }
  const std::optional<size_t> bad = find_invalid_utf8(line);
  if (!bad) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("not sent: byte {} of the line, 0x{:02x}, is not UTF-8", *bad + 1,
                           static_cast<unsigned char>(line[*bad]))};
}

void LineReader::read_available(Duration patience) {
  pollfd input{descriptor_, POLLIN, 0};
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  if (poll(&input, 1, static_cast<int>(wait)) <= 0) return;
  char chunk[4096];
  const ssize_t got = read(descriptor_, chunk, sizeof chunk);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  // An error ends the input as its end does: a terminal that was hung up answers every read with
  // EIO.
  closed_ = got <= 0;
  if (got > 0) buffer_.append(chunk, static_cast<size_t>(got));
}

}  // namespace potluck
