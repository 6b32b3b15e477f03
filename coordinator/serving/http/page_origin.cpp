#include "coordinator/serving/http/page_origin.h"

#include <algorithm>

namespace potluck {
namespace {

std::string_view without_port(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == host.npos || host.ends_with(']')) return host;
  return host.substr(0, colon);
}

std::string lower_text(std::string_view text) {
  std::string lowered(text);
  std::ranges::transform(lowered, lowered.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lowered;
}

// "https://host:1" -> "host:1"; anything else, "null" too, has none.
std::string_view host_of_origin(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == origin.npos ? std::string_view() : origin.substr(scheme + 3);
}

}  // namespace

bool is_this_machine(std::string_view host) {
  const std::string name = lower_text(without_port(host));
  // No name of the internet consists of digits alone.
  const bool numbers = name.find_first_not_of("0123456789.") == name.npos;
  return name == "localhost" || name == "[::1]" || name.ends_with(".localhost") ||
         (name.starts_with("127.") && numbers);
}

std::optional<std::string> origin_fault(const HttpHeaders& request, bool proven) {
  const std::string* host = find_header(request, "host");
  if (host == nullptr) return "the request does not say which host it is for";
  if (!proven && !is_this_machine(*host)) {
    return "without a key, the pool is shown by this machine's own name alone, such as localhost";
  }
  // Browsers say how the asking page is related, whatever its name.
  const std::string* site = find_header(request, "sec-fetch-site");
  const bool foreign = site != nullptr && *site != "same-origin" && *site != "none";
  const std::string* origin = find_header(request, "origin");
  const bool other = origin != nullptr && lower_text(host_of_origin(*origin)) != lower_text(*host);
  if (foreign || other) return "only the dashboard of this server may ask for this";
  return std::nullopt;
}

}  // namespace potluck
