#include "coordinator/upstream/curl_caller.h"

#include <algorithm>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>

#include "engine/base/out_of_resources.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr long kConnectSeconds = 20;
constexpr int kPollMilliseconds = 1000;
constexpr size_t kShownBytes = 256;  // of libcurl's words

Status not_wanted() {
  return Error{ErrorCode::kCancelled, "the call was ended"};
}

}  // namespace

// One call, from its order to its end. Made by any thread, then the caller's thread's alone.
class CurlCaller::Transfer {
 public:
  Transfer(HttpCallId id, HttpCall call, std::shared_ptr<HttpCallSink> sink)
      : id_(id), call_(std::move(call)), sink_(std::move(sink)) {}
  ~Transfer() {
    if (easy_ != nullptr) curl_easy_cleanup(easy_);
    curl_slist_free_all(headers_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  HttpCallId id() const { return id_; }
  CURL* easy() const { return easy_; }

  Status prepare() {
    Status made = guard_memory("a request to another server", [&]() -> Status {
      body_ = call_.body();
      return configure();
    });
    call_.body = nullptr;
    return made;
  }
  void end(const Status& how) { sink_->on_end(how); }
  void finish(CURLcode code) {
    // An answer without a body has a status, too.
    if (code == CURLE_OK && !tell_status()) unwanted_ = true;
    end(judge(code));
  }

 private:
  Status configure();
  bool set_headers();
  Status judge(CURLcode code) const;

  template <class Value>
  bool set(CURLoption option, Value value) {
    return curl_easy_setopt(easy_, option, value) == CURLE_OK;
  }

  static size_t on_header(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  bool tell_status();

  const HttpCallId id_;
  HttpCall call_;
  const std::shared_ptr<HttpCallSink> sink_;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  std::string body_;
  size_t header_bytes_ = 0;
  bool told_status_ = false;
  bool unwanted_ = false;
  char error_[CURL_ERROR_SIZE] = {};
};

bool CurlCaller::Transfer::set_headers() {
  // libcurl would wait for "100 Continue" before it sends a body.
  call_.headers.emplace_back("Expect:");
  for (const std::string& line : call_.headers) {
    curl_slist* longer = curl_slist_append(headers_, line.c_str());
    if (longer == nullptr) return false;
    headers_ = longer;
  }
  return set(CURLOPT_HTTPHEADER, headers_);
}

Status CurlCaller::Transfer::configure() {
  easy_ = curl_easy_init();
  if (easy_ == nullptr) return Error{ErrorCode::kIo, "libcurl cannot be used"};
  const bool secure = call_.url.starts_with("https://");
  bool good = set(CURLOPT_URL, call_.url.c_str()) && set(CURLOPT_NOSIGNAL, 1L) &&
              set(CURLOPT_PROTOCOLS_STR, secure ? "https" : "http") &&
              set(CURLOPT_FOLLOWLOCATION, 0L) && set(CURLOPT_NETRC, 0L) &&
              set(CURLOPT_SSL_VERIFYPEER, 1L) && set(CURLOPT_SSL_VERIFYHOST, 2L) &&
              set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds) && set(CURLOPT_LOW_SPEED_LIMIT, 1L) &&
              set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(call_.silence_seconds)) &&
              set(CURLOPT_TIMEOUT, static_cast<long>(call_.answer_seconds)) &&
              set(CURLOPT_USERAGENT, "potluck") && set(CURLOPT_ERRORBUFFER, error_) &&
              set(CURLOPT_HEADERFUNCTION, &Transfer::on_header) && set(CURLOPT_HEADERDATA, this) &&
              set(CURLOPT_WRITEFUNCTION, &Transfer::on_body) && set(CURLOPT_WRITEDATA, this) &&
              set(CURLOPT_PRIVATE, this) && set(CURLOPT_POST, 1L) && set_headers() &&
              set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size())) &&
              set(CURLOPT_POSTFIELDS, body_.c_str());
  // Through a proxy of the environment, what is not encrypted would be read there, the key as well.
  if (!secure) good = good && set(CURLOPT_PROXY, "");
  if (!call_.ca_file.empty()) good = good && set(CURLOPT_CAINFO, call_.ca_file.c_str());
  return good ? Status() : Error{ErrorCode::kIo, "libcurl refuses the options that are needed"};
}

// libcurl's words name hosts and certificates, and never a header.
Status CurlCaller::Transfer::judge(CURLcode code) const {
  if (unwanted_) return not_wanted();
  if (header_bytes_ > kMostHeaderBytes) {
    return Error{ErrorCode::kLimit, "its headers are too long"};
  }
  if (code == CURLE_OK) return {};
  const std::string said =
      clean_text(error_[0] != '\0' ? error_ : curl_easy_strerror(code), kShownBytes);
  if (code == CURLE_OPERATION_TIMEDOUT) return Error{ErrorCode::kTimeout, said};
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
    return Error{ErrorCode::kRefused, "its certificate is not trusted: " + said};
  }
  return Error{ErrorCode::kIo, said};
}

size_t CurlCaller::Transfer::on_header(char* /*data*/, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.header_bytes_ += size * count;
  return transfer.header_bytes_ > kMostHeaderBytes ? 0 : size * count;
}

bool CurlCaller::Transfer::tell_status() {
  if (std::exchange(told_status_, true)) return true;
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  return sink_->on_status(static_cast<int>(status));
}

size_t CurlCaller::Transfer::on_body(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const size_t bytes = size * count;
  if (transfer.tell_status() && transfer.sink_->on_bytes({data, bytes})) return bytes;
  transfer.unwanted_ = true;
  return 0;
}

class CurlCaller::Multi {
 public:
  Multi() : handle_(curl_multi_init()) {}
  ~Multi() {
    if (handle_ != nullptr) curl_multi_cleanup(handle_);
  }
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;
  CURLM* handle() const { return handle_; }

 private:
  CURLM* handle_;
};

CurlCaller::CurlCaller(std::unique_ptr<Multi> multi) : multi_(std::move(multi)) {}

Result<std::unique_ptr<CurlCaller>> CurlCaller::start() {
  auto multi = std::make_unique<Multi>();
  if (multi->handle() == nullptr) return Error{ErrorCode::kIo, "libcurl cannot be used"};
  std::unique_ptr<CurlCaller> caller(new CurlCaller(std::move(multi)));
  auto thread = start_thread([raw = caller.get()] { raw->work_until_stopped(); });
  if (!thread) return thread.error();
  caller->thread_ = std::move(*thread);
  return caller;
}

CurlCaller::~CurlCaller() {
  stopping_ = true;
  curl_multi_wakeup(multi_->handle());
  if (thread_.joinable()) thread_.join();
}

Result<HttpCallId> CurlCaller::call(HttpCall call, std::shared_ptr<HttpCallSink> sink) {
  HttpCallId id = 0;
  {
    MutexLock lock(mutex_);
    if (calls_ >= kMostCalls || stopping_) {
      return Error{ErrorCode::kLimit, "too many requests to other servers are under way"};
    }
    ++calls_;
    id = next_id_++;
    new_.push_back(std::make_unique<Transfer>(id, std::move(call), std::move(sink)));
  }
  curl_multi_wakeup(multi_->handle());
  return id;
}

void CurlCaller::cancel(HttpCallId id) {
  {
    MutexLock lock(mutex_);
    cancelled_.push_back(id);
  }
  curl_multi_wakeup(multi_->handle());
}

// Sinks are told without the lock: they may order again.
void CurlCaller::take_orders() {
  std::vector<std::unique_ptr<Transfer>> fresh;
  std::vector<HttpCallId> cancelled;
  {
    MutexLock lock(mutex_);
    fresh = std::exchange(new_, {});
    cancelled = std::exchange(cancelled_, {});
    calls_ = under_way_.size() + fresh.size();
  }
  for (std::unique_ptr<Transfer>& transfer : fresh) {
    Status ready = std::ranges::find(cancelled, transfer->id()) == cancelled.end()
                       ? transfer->prepare()
                       : not_wanted();
    if (ready && curl_multi_add_handle(multi_->handle(), transfer->easy()) != CURLM_OK) {
      ready = Error{ErrorCode::kIo, "libcurl takes no further request"};
    }
    if (!ready) {
      transfer->end(ready);
      continue;
    }
    under_way_.emplace(transfer->id(), std::move(transfer));
  }
  for (const HttpCallId id : cancelled) {
    const auto found = under_way_.find(id);
    if (found == under_way_.end()) continue;
    curl_multi_remove_handle(multi_->handle(), found->second->easy());
    const auto ended = std::move(found->second);
    under_way_.erase(found);
    ended->end(not_wanted());
  }
}

void CurlCaller::work_until_stopped() {
  while (!stopping_) {
    take_orders();
    int running = 0;
    curl_multi_perform(multi_->handle(), &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_->handle(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;  // gone with the handle
      Transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      curl_multi_remove_handle(multi_->handle(), transfer->easy());
      const auto node = under_way_.extract(transfer->id());
      transfer->finish(code);
    }
    curl_multi_poll(multi_->handle(), nullptr, 0, kPollMilliseconds, nullptr);
  }
  take_orders();
  for (const auto& [id, transfer] : under_way_) {
    curl_multi_remove_handle(multi_->handle(), transfer->easy());
    transfer->end(not_wanted());
  }
  under_way_.clear();
}

}  // namespace potluck
