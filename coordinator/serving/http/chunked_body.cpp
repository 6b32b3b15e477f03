#include "coordinator/serving/http/chunked_body.h"

#include <algorithm>
#include <charconv>

namespace potluck {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7F';
}

}  // namespace

size_t ChunkedBody::take(std::string_view bytes, std::string* body) {
  size_t used = 0;
  while (!refusal_ && !done()) {
    const std::string_view rest = bytes.substr(used);
    size_t taken = 0;
    switch (state_) {
      case State::kSize:
        taken = take_size(rest, body->size());
        break;
      case State::kContent:
        taken = std::min<uint64_t>(left_, rest.size());
        body->append(rest.substr(0, taken));
        left_ -= taken;
        if (left_ == 0) state_ = State::kContentEnd;
        break;
      case State::kContentEnd:
        taken = take_line_end(rest, State::kSize, "a chunk is longer than it says");
        break;
      case State::kEnd:
        taken = take_line_end(rest, State::kDone, "header fields behind the body");
        break;
      case State::kDone:
        break;
    }
    used += taken;
    if (taken == 0) break;
  }
  return used;
}

// "1a;extensions" and a line end.
size_t ChunkedBody::take_size(std::string_view bytes, uint64_t body_so_far) {
  const size_t end = bytes.substr(0, line_bytes_).find('\n');
  if (end == bytes.npos) {
    if (bytes.size() >= line_bytes_) refusal_ = {413, "the line of a chunk is too long"};
    return 0;
  }
  const std::string_view line = bytes.substr(0, end);
  uint64_t size = 0;
  const auto [digits_end, error] =
      std::from_chars(line.data(), line.data() + line.size(), size, 16);
  const std::string_view tail(digits_end, line.data() + line.size() - digits_end);
  const bool extends = tail.starts_with(';') || tail.starts_with(' ') || tail.starts_with('\t');
  if (error == std::errc::result_out_of_range || size > body_bytes_ - body_so_far) {
    refusal_ = {413, "the body of the request is too large"};
  } else if (error != std::errc() || !tail.ends_with('\r') || (tail.size() > 1 && !extends) ||
             std::any_of(tail.begin(), tail.end() - 1, is_control)) {
    refusal_ = {400, "not an HTTP request: bad chunk"};
  } else {
    left_ = size;
    state_ = size > 0 ? State::kContent : State::kEnd;
  }
  return refusal_ ? 0 : end + 1;
}

size_t ChunkedBody::take_line_end(std::string_view bytes, State next, const char* otherwise) {
  const size_t there = std::min(bytes.size(), kLineEnd.size());
  if (bytes.substr(0, there) != kLineEnd.substr(0, there)) {
    refusal_ = {400, otherwise};
    return 0;
  }
  if (there < kLineEnd.size()) return 0;
  state_ = next;
  return there;
}

}  // namespace potluck
