#include "coordinator/spread/http_handle.h"

#include <algorithm>
#include <string_view>

#include <curl/curl.h>
#include <fmt/format.h>

#include "engine/base/thread_annotations.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr long kMostRedirections = 8;
constexpr long kConnectSeconds = 20;
// A server that says "in an hour" is asked again before that: it may not mean us.
constexpr uint64_t kLongestRetryAfter = 120;
constexpr Duration kLongestPause = std::chrono::seconds(30);
// How often a pause looks whether the process is about to end.
constexpr Duration kPauseStep = std::chrono::milliseconds(50);

}  // namespace

bool is_stopped(const HttpOptions& options) {
  return options.stop != nullptr && options.stop->load(std::memory_order_relaxed);
}

Error cancelled_reading() {
  return {ErrorCode::kCancelled, "stopped while reading from a server"};
}

std::string shown_address(const std::string& address) {
  return clean_text(address.substr(0, address.find_first_of("?#")), kShownHttpBytes);
}

Status check_address(const std::string& address) {
  auto wrong = [&](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: {}", shown_address(address), what)};
  };
  const bool secure = address.starts_with("https://");
  if (!secure && !address.starts_with("http://")) return wrong("expected an http or https address");
  const std::string_view rest = std::string_view(address).substr(secure ? 8 : 7);
  const std::string_view host = rest.substr(0, rest.find_first_of("/?#"));
  if (host.empty()) return wrong("expected a host");
  if (host.find('@') != std::string_view::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 "an address with a password in it would be written down in several places; put a "
                 "token into the environment variable POTLUCK_SOURCE_TOKEN instead"};
  }
  if (std::ranges::any_of(address, [](char c) { return static_cast<unsigned char>(c) <= ' '; })) {
    return wrong("it has spaces or control characters in it");
  }
  return {};
}

Status set_up_http(void* handle, const std::string& address, const HttpOptions& options,
                   char* error_buffer) {
  if (handle == nullptr) return Error{ErrorCode::kIo, "libcurl cannot be used"};
  const bool secure = address.starts_with("https://");
  auto set = [handle](CURLoption option, auto value) {
    return curl_easy_setopt(handle, option, value) == CURLE_OK;
  };
  bool good = set(CURLOPT_URL, address.c_str()) && set(CURLOPT_NOSIGNAL, 1L) &&
              set(CURLOPT_FOLLOWLOCATION, 1L) && set(CURLOPT_MAXREDIRS, kMostRedirections) &&
              set(CURLOPT_PROTOCOLS_STR, secure ? "https" : "http,https") &&
              set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https") &&
              set(CURLOPT_SSL_VERIFYPEER, 1L) && set(CURLOPT_SSL_VERIFYHOST, 2L) &&
              set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds) && set(CURLOPT_LOW_SPEED_LIMIT, 1L) &&
              set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_seconds)) &&
              set(CURLOPT_USERAGENT, "potluck") && set(CURLOPT_ERRORBUFFER, error_buffer);
  // Bytes as they are: a server may not compress them.
  good = good && set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
  if (!options.ca_file.empty()) good = good && set(CURLOPT_CAINFO, options.ca_file.c_str());
  // libcurl sends it to the host of the address alone, whatever that host redirects to.
  if (!options.token.empty()) {
    good = good && set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BEARER)) &&
           set(CURLOPT_XOAUTH2_BEARER, options.token.c_str()) && set(CURLOPT_UNRESTRICTED_AUTH, 0L);
  }
  return good ? Status() : Error{ErrorCode::kIo, "libcurl refuses the options that are needed"};
}

HttpTrouble judge_http_code(int curl_code, const char* error_buffer) {
  const auto code = static_cast<CURLcode>(curl_code);
  HttpTrouble result;
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
    result.failed =
        Error{ErrorCode::kRefused, fmt::format("its certificate is not trusted: {} (--ca-file)",
                                               clean_text(error_buffer, kShownHttpBytes))};
  } else if (code == CURLE_TOO_MANY_REDIRECTS || code == CURLE_UNSUPPORTED_PROTOCOL) {
    result.failed = Error{ErrorCode::kRefused, clean_text(error_buffer, kShownHttpBytes)};
  } else {
    const char* text = error_buffer[0] != '\0' ? error_buffer : curl_easy_strerror(code);
    result.trouble =
        code == CURLE_OK ? "the transfer was cut off" : clean_text(text, kShownHttpBytes);
  }
  return result;
}

bool is_passing_status(int status) {
  return status == 429 || status == 408 || status >= 500;
}

Status pause_http(const HttpOptions& options, std::optional<uint64_t> wait_seconds,
                  uint32_t failures) {
  Duration pause =
      std::min(options.first_pause * (int64_t{1} << std::min(failures - 1, 10u)), kLongestPause);
  if (wait_seconds) {
    pause = std::max<Duration>(pause,
                               std::chrono::seconds(std::min(*wait_seconds, kLongestRetryAfter)));
  }
  // Never notified: it waits in steps, so that an end is noticed.
  Mutex mutex;
  Condition passing;
  MutexLock lock(mutex);
  for (Duration slept{0}; slept < pause; slept += kPauseStep) {
    if (is_stopped(options)) return cancelled_reading();
    passing.wait_for(lock, std::min(kPauseStep, pause - slept));
  }
  return {};
}

}  // namespace potluck
