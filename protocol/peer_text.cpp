#include "protocol/peer_text.h"

#include <algorithm>
#include <cstdint>

#include "engine/base/terminal_text.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

// A name has at most 253 characters (RFC 1035).
constexpr size_t kHostBytes = 253;
constexpr uint32_t kMaxPort = 65535;

// Bytes of the well-formed, harmless UTF-8 character at the front of `text`; 0 if there is none.
size_t harmless_length(std::string_view text) {
  const Utf8Step step = first_utf8_step(text);
  if (step.kind != Utf8Kind::kCharacter || is_terminal_control(decode_utf8(text))) return 0;
  return step.bytes;
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || text[0] == '0') return false;
  uint32_t port = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    port = port * 10 + static_cast<uint32_t>(c - '0');
  }
  return port <= kMaxPort;
}

}  // namespace

// Terminals obey control characters, and logs are read line by line: a peer's text must be neither
// a command nor a second line.
std::string clean_text(std::string_view text, size_t limit) {
  std::string clean;
  clean.reserve(std::min(text.size(), limit));
  while (!text.empty()) {
    size_t length = harmless_length(text);
    size_t added = std::max<size_t>(length, 1);
    if (clean.size() + added > limit) break;
    if (length == 0) {
      clean += '?';
    } else {
      clean += text.substr(0, length);
    }
    text.remove_prefix(added);
  }
  return clean;
}

bool is_endpoint_host(std::string_view host) {
  if (host.empty() || host.size() > kHostBytes) return false;
  if (host.front() != '[') {
    return std::all_of(host.begin(), host.end(),
                       [](char c) { return is_alphanumeric(c) || c == '.' || c == '-'; });
  }
  if (host.size() < 4 || host.back() != ']') return false;
  std::string_view inner = host.substr(1, host.size() - 2);
  return std::all_of(inner.begin(), inner.end(), [](char c) {
    // Behind the '%' stands the name of a network interface.
    constexpr std::string_view kOthers = ":.%-_";
    return is_alphanumeric(c) || kOthers.find(c) != std::string_view::npos;
  });
}

Status check_endpoint(std::string_view endpoint) {
  constexpr std::string_view kScheme = "tcp://";
  Error error{ErrorCode::kInvalidArgument,
              "expected an endpoint tcp://HOST:PORT, found \"" + clean_text(endpoint, 80) + "\""};
  if (!endpoint.starts_with(kScheme)) return error;
  endpoint.remove_prefix(kScheme.size());
  size_t colon = endpoint.rfind(':');
  if (colon == std::string_view::npos) return error;
  bool fits = is_endpoint_host(endpoint.substr(0, colon)) && is_port(endpoint.substr(colon + 1));
  return fits ? Status() : Status(error);
}

}  // namespace potluck
