#include "coordinator/spread/http_reply.h"

#include <algorithm>
#include <charconv>

#include <curl/curl.h>

namespace potluck {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

// Digits alone, and no more than fit.
std::optional<uint64_t> whole_number(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (text.empty() || failure != std::errc() || stop != end) return std::nullopt;
  return value;
}

bool same_name(std::string_view found, std::string_view wanted) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(found, wanted, {}, lower, lower);
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view text) {
  text = trimmed(text);
  constexpr std::string_view kUnit = "bytes ";
  if (text.size() < kUnit.size() || !same_name(text.substr(0, kUnit.size()), kUnit)) {
    return std::nullopt;
  }
  text.remove_prefix(kUnit.size());
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  const auto first = whole_number(trimmed(text.substr(0, dash)));
  const auto last = whole_number(trimmed(text.substr(dash + 1, slash - dash - 1)));
  const auto total = whole_number(trimmed(text.substr(slash + 1)));
  if (!first || !last || !total || *first > *last || *last >= *total) return std::nullopt;
  return ContentRange{*first, *last, *total};
}

void HttpReply::clear() {
  status_ = 0;
  range_.reset();
  retry_after_.clear();
  etag_.clear();
  modified_.clear();
  error_code_.clear();
  error_text_.clear();
}

void HttpReply::take_hub_field(std::string_view name, std::string_view value) {
  if (same_name(name, "x-linked-etag") && answers_ == 1) {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    linked_tag_ = value;
  } else if (same_name(name, "x-error-code")) {
    error_code_ = value;
  } else if (same_name(name, "x-error-message")) {
    error_text_ = value;
  }
}

bool HttpReply::add_line(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kMostHeaderBytes) return false;
  line = trimmed(line);
  if (line.starts_with("HTTP/")) {
    clear();
    ++answers_;
    const size_t space = line.find(' ');
    const auto status = whole_number(space == std::string_view::npos ? std::string_view()
                                                                     : line.substr(space + 1, 3));
    if (status) status_ = static_cast<int>(*status);
    return true;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same_name(name, "content-range")) {
    range_ = parse_content_range(value);
  } else if (value.size() > kLongestTag) {
    return true;
  } else if (same_name(name, "retry-after")) {
    retry_after_ = value;
  } else if (same_name(name, "etag")) {
    // A weak one may be the same for other bytes.
    etag_ = value.starts_with("W/") ? std::string_view() : value;
  } else if (same_name(name, "last-modified")) {
    modified_ = value;
  } else {
    take_hub_field(name, value);
  }
  return true;
}

std::optional<uint64_t> HttpReply::retry_after(int64_t now) const {
  if (retry_after_.empty()) return std::nullopt;
  if (auto seconds = whole_number(retry_after_)) return seconds;
  const time_t date = curl_getdate(retry_after_.c_str(), nullptr);
  if (date < 0 || now < 0) return std::nullopt;
  return date <= now ? 0 : static_cast<uint64_t>(date - now);
}

std::string HttpReply::tag() const {
  if (!etag_.empty()) return "ETag " + etag_;
  return modified_.empty() ? std::string() : "Last-Modified " + modified_;
}

}  // namespace potluck
