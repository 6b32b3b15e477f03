#include "coordinator/spread/http_get.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include "coordinator/spread/http_reply.h"

namespace potluck {
namespace {

struct HandleCloser {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

// One attempt after the other on the same handle.
class Getter {
 public:
  Getter(const std::string& address, const HttpOptions& options, uint64_t most_bytes)
      : address_(address), options_(options), most_bytes_(most_bytes), handle_(curl_easy_init()) {}

  Status configure() {
    Status common = set_up_http(handle_.get(), address_, options_, curl_error_);
    if (!common) return common;
    auto set = [this](CURLoption option, auto value) {
      return curl_easy_setopt(handle_.get(), option, value) == CURLE_OK;
    };
    const bool good =
        set(CURLOPT_HEADERFUNCTION, &Getter::on_header) && set(CURLOPT_HEADERDATA, this) &&
        set(CURLOPT_WRITEFUNCTION, &Getter::on_body) && set(CURLOPT_WRITEDATA, this) &&
        set(CURLOPT_XFERINFOFUNCTION, &Getter::on_progress) && set(CURLOPT_XFERINFODATA, this) &&
        set(CURLOPT_NOPROGRESS, 0L);
    return good ? Status() : Error{ErrorCode::kIo, "libcurl refuses the options that are needed"};
  }

  // Nothing: an answer is there, though perhaps not the one that was hoped for.
  HttpTrouble attempt() {
    reply_ = {};
    body_.clear();
    wrong_.reset();
    curl_error_[0] = '\0';
    const CURLcode code = curl_easy_perform(handle_.get());
    if (wrong_) return {wrong_, {}};
    if (is_stopped(options_)) return {cancelled_reading(), {}};
    if (code != CURLE_OK) return judge_http_code(code, curl_error_);
    if (!is_passing_status(reply_.status())) return {};
    return {std::nullopt, fmt::format("the server says {}", reply_.status())};
  }

  const HttpReply& reply() const { return reply_; }
  HttpDocument document() {
    return {reply_.status(), std::move(body_), reply_.error_code(), reply_.error_text()};
  }

 private:
  static size_t on_header(char* data, size_t size, size_t count, void* self) {
    auto& getter = *static_cast<Getter*>(self);
    if (getter.reply_.add_line({data, size * count})) return size * count;
    getter.wrong_ = Error{ErrorCode::kLimit, "the server's headers are too long"};
    return 0;
  }
  static size_t on_body(char* data, size_t size, size_t count, void* self) {
    auto& getter = *static_cast<Getter*>(self);
    const size_t bytes = size * count;
    if (bytes > getter.most_bytes_ - getter.body_.size()) {
      getter.wrong_ = Error{ErrorCode::kLimit,
                            fmt::format("the answer has more than {} bytes", getter.most_bytes_)};
      return 0;
    }
    getter.body_.append(data, bytes);
    return bytes;
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return is_stopped(static_cast<Getter*>(self)->options_) ? 1 : 0;
  }

  const std::string& address_;
  const HttpOptions& options_;
  uint64_t most_bytes_;
  std::unique_ptr<CURL, HandleCloser> handle_;
  char curl_error_[CURL_ERROR_SIZE] = {};
  HttpReply reply_;
  std::string body_;
  std::optional<Error> wrong_;
};

}  // namespace

Result<HttpDocument> http_get(const std::string& address, const HttpOptions& options,
                              uint64_t most_bytes) {
  if (Status checked = check_address(address); !checked) return checked.error();
  Getter getter(address, options, most_bytes);
  if (Status configured = getter.configure(); !configured) return configured.error();
  for (uint32_t failures = 1;; ++failures) {
    if (is_stopped(options)) return cancelled_reading();
    const HttpTrouble trouble = getter.attempt();
    if (trouble.failed) return trouble.failed->in(shown_address(address));
    if (trouble.trouble.empty()) return getter.document();
    if (failures >= options.attempts) {
      return Error{ErrorCode::kIo, fmt::format("{}: {} (the last of {} attempts in a row)",
                                               shown_address(address), trouble.trouble, failures)};
    }
    const int64_t now = options.unix_seconds ? options.unix_seconds() : -1;
    Status waited = pause_http(options, getter.reply().retry_after(now), failures);
    if (!waited) return waited.error();
  }
}

}  // namespace potluck
