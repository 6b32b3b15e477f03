// One request at a time, one easy handle: libcurl keeps its connections. What arrives goes straight
// to where it is wanted, and never beyond; what is wrong with an answer is found before its first
// byte is taken.
#include "coordinator/spread/http_file.h"

#include <algorithm>

#include <curl/curl.h>
#include <fmt/format.h>

#include "coordinator/spread/http_reply.h"
#include "engine/base/printable.h"
#include "engine/base/thread_annotations.h"

namespace potluck {
namespace {

// Small reads one after the other (of a header) take so much at once; others take what they ask
// for.
constexpr uint64_t kReadAhead = kMiB;
// Larger than any disk there is; sizes are added up in 64 bits.
constexpr uint64_t kLargestFile = uint64_t{1} << 50;

}  // namespace

class HttpFile::Transfer {
 public:
  Transfer(std::string address, HttpOptions options)
      : address_(std::move(address)),
        shown_(shown_address(address_)),
        options_(std::move(options)),
        handle_(curl_easy_init()) {}
  ~Transfer() {
    if (handle_ != nullptr) curl_easy_cleanup(handle_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  Status open();
  Status read(uint64_t offset, MutableByteSpan out);
  uint64_t size() const { return size_; }
  const std::string& tag() const { return tag_; }
  const std::string& linked_tag() const { return linked_tag_; }

 private:
  // What one attempt came to.
  struct Attempt {
    uint64_t taken = 0;           // bytes that are right
    std::optional<Error> failed;  // not worth another attempt
    std::string trouble;          // worth one, for this reason; or empty
    std::optional<uint64_t> wait_seconds;
  };

  Status configure();
  Status fetch(uint64_t offset, MutableByteSpan out);
  Attempt attempt(uint64_t offset, MutableByteSpan out);
  void judge(CURLcode code, uint64_t wanted, Attempt* attempt) const;
  void judge_status(Attempt* attempt) const;
  Status check_reply();

  static size_t on_header(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  size_t take_body(const char* data, size_t bytes);

  std::string address_;
  std::string shown_;
  HttpOptions options_;
  CURL* handle_;
  Mutex mutex_;  // of all below
  char curl_error_[CURL_ERROR_SIZE] = {};
  bool opened_ = false;
  uint64_t size_ = 0;
  std::string tag_;
  std::string linked_tag_;
  // Of the attempt under way.
  HttpReply reply_;
  std::optional<Error> wrong_;
  bool checked_ = false;
  uint64_t offset_ = 0;
  MutableByteSpan out_;
  uint64_t taken_ = 0;
  uint64_t explained_ = 0;  // bytes of bodies that are no part of the file
  // Of the last read.
  uint64_t last_begin_ = 0;
  uint64_t last_end_ = 0;
  // Read beyond what was asked for.
  uint64_t ahead_offset_ = 0;
  ByteVector ahead_;
};

Status HttpFile::Transfer::configure() {
  Status common = set_up_http(handle_, address_, options_, curl_error_);
  if (!common) return common;
  auto set = [this](CURLoption option, auto value) {
    return curl_easy_setopt(handle_, option, value) == CURLE_OK;
  };
  const bool good =
      set(CURLOPT_HEADERFUNCTION, &Transfer::on_header) && set(CURLOPT_HEADERDATA, this) &&
      set(CURLOPT_WRITEFUNCTION, &Transfer::on_body) && set(CURLOPT_WRITEDATA, this) &&
      set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress) && set(CURLOPT_XFERINFODATA, this) &&
      set(CURLOPT_NOPROGRESS, 0L);
  return good ? Status() : Error{ErrorCode::kIo, "libcurl refuses the options that are needed"};
}

Status HttpFile::Transfer::open() {
  if (Status set = configure(); !set) return set;
  std::byte first[1];
  if (Status fetched = fetch(0, first); !fetched) return fetched;
  opened_ = true;
  return {};
}

Status HttpFile::Transfer::read(uint64_t offset, MutableByteSpan out) {
  MutexLock lock(mutex_);
  if (offset > size_ || out.size() > size_ - offset) {
    return Error{ErrorCode::kCorrupt, fmt::format("{}: bytes {} to {} of {}", shown_, offset,
                                                  offset + out.size(), size_)};
  }
  const bool follows = offset >= last_begin_ && offset <= last_end_;
  last_begin_ = offset;
  last_end_ = offset + out.size();
  if (out.size() >= kReadAhead || !follows) return fetch(offset, out);
  const bool inside = offset >= ahead_offset_ && offset - ahead_offset_ <= ahead_.size() &&
                      out.size() <= ahead_.size() - (offset - ahead_offset_);
  if (!inside) {
    ByteVector ahead(std::min(kReadAhead, size_ - offset));
    if (Status fetched = fetch(offset, ahead); !fetched) return fetched;
    ahead_ = std::move(ahead);
    ahead_offset_ = offset;
  }
  if (!out.empty()) std::memcpy(out.data(), ahead_.data() + (offset - ahead_offset_), out.size());
  return {};
}

// Attempt after attempt, each from where the last one got to.
Status HttpFile::Transfer::fetch(uint64_t offset, MutableByteSpan out) {
  uint32_t failures = 0;
  while (!out.empty()) {
    if (is_stopped(options_)) return cancelled_reading();
    Attempt done = attempt(offset, out);
    if (done.failed) return done.failed->in(shown_);
    offset += done.taken;
    out = out.subspan(done.taken);
    if (done.taken > 0) failures = 0;
    if (done.trouble.empty()) continue;
    if (++failures >= options_.attempts) {
      return Error{ErrorCode::kIo, fmt::format("{}: {} (the last of {} attempts in a row)", shown_,
                                               done.trouble, failures)};
    }
    Status waited = pause_http(options_, done.wait_seconds, failures);
    if (!waited) return waited;
  }
  return {};
}

HttpFile::Transfer::Attempt HttpFile::Transfer::attempt(uint64_t offset, MutableByteSpan out) {
  Attempt result;
  reply_ = {};
  wrong_.reset();
  checked_ = false;
  offset_ = offset;
  out_ = out;
  taken_ = explained_ = 0;
  const std::string range = fmt::format("{}-{}", offset, offset + out.size() - 1);
  curl_error_[0] = '\0';
  curl_easy_setopt(handle_, CURLOPT_RANGE, range.c_str());
  const CURLcode code = curl_easy_perform(handle_);
  out_ = {};
  result.taken = taken_;
  judge(code, out.size(), &result);
  return result;
}

void HttpFile::Transfer::judge(CURLcode code, uint64_t wanted, Attempt* attempt) const {
  if (wrong_) {
    attempt->failed = wrong_;
  } else if (is_stopped(options_)) {
    attempt->failed = cancelled_reading();
  } else if (attempt->taken == wanted) {
    return;
  } else if (code == CURLE_OK && reply_.status() != 206) {
    judge_status(attempt);
  } else {
    HttpTrouble judged = judge_http_code(code, curl_error_);
    attempt->failed = std::move(judged.failed);
    attempt->trouble = std::move(judged.trouble);
  }
}

// An answer that is not a part of the file.
void HttpFile::Transfer::judge_status(Attempt* attempt) const {
  const int status = reply_.status();
  if (is_passing_status(status)) {
    attempt->trouble = fmt::format("the server says {}", status);
    attempt->wait_seconds =
        reply_.retry_after(options_.unix_seconds ? options_.unix_seconds() : -1);
    return;
  }
  auto code = ErrorCode::kIo;
  if (status == 404 || status == 410) code = ErrorCode::kNotFound;
  if (status == 401 || status == 403) code = ErrorCode::kRefused;
  if (status == 200) code = ErrorCode::kUnsupported;
  // 416: there is no such range in it any more.
  if (status == 416 || status == 412) code = ErrorCode::kCorrupt;
  std::string what = fmt::format("the server says {}", status);
  if (status == 200) what = "the server gives whole files only, no ranges";
  if (code == ErrorCode::kCorrupt) what = "the file changed: " + what;
  attempt->failed = Error{code, what};
}

// Before the first byte is taken: is this the range of the file that was asked for?
Status HttpFile::Transfer::check_reply() {
  const std::optional<ContentRange>& range = reply_.range();
  if (!range) return Error{ErrorCode::kCorrupt, "the server does not say which range it sends"};
  const uint64_t last = offset_ + out_.size() - 1;
  if (!opened_) {
    if (range->total > kLargestFile) {
      return Error{ErrorCode::kLimit, fmt::format("a file of {} bytes", range->total)};
    }
    size_ = range->total;
    tag_ = reply_.tag();
    linked_tag_ = reply_.linked_tag();
  }
  if (range->total != size_ || reply_.tag() != tag_) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("the file changed: expected {} bytes ({}), found {} ({})", size_,
                             printable(tag_), range->total, printable(reply_.tag()))};
  }
  if (range->first == offset_ && range->last <= last) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("asked for bytes {} to {}, the server sends {} to {}", offset_, last,
                           range->first, range->last)};
}

size_t HttpFile::Transfer::on_header(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const size_t bytes = size * count;
  if (transfer.reply_.add_line({data, bytes})) return bytes;
  transfer.wrong_ = Error{ErrorCode::kLimit, "the server's headers are too long"};
  return 0;
}

size_t HttpFile::Transfer::on_body(char* data, size_t size, size_t count, void* self) {
  return static_cast<Transfer*>(self)->take_body(data, size * count);
}

// A body of another status explains something to people; it is passed over, but not for ever.
size_t HttpFile::Transfer::take_body(const char* data, size_t bytes) {
  if (reply_.status() != 206) {
    constexpr uint64_t kMostExplanation = 64 * kKiB;
    if (reply_.status() == 200) {
      wrong_ = Error{ErrorCode::kUnsupported, "the server gives whole files only, no ranges"};
      return 0;
    }
    explained_ += bytes;
    return explained_ > kMostExplanation ? 0 : bytes;
  }
  if (!checked_) {
    checked_ = true;
    if (Status right = check_reply(); !right) {
      wrong_ = right.error();
      return 0;
    }
  }
  if (bytes > out_.size() - taken_) {
    wrong_ = Error{ErrorCode::kCorrupt, "the server sends more than it was asked for"};
    return 0;
  }
  std::memcpy(out_.data() + taken_, data, bytes);
  taken_ += bytes;
  return bytes;
}

int HttpFile::Transfer::on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return is_stopped(static_cast<Transfer*>(self)->options_) ? 1 : 0;
}

HttpFile::HttpFile(std::unique_ptr<Transfer> transfer) : transfer_(std::move(transfer)) {}

HttpFile::~HttpFile() = default;

uint64_t HttpFile::size() const {
  return transfer_->size();
}

const std::string& HttpFile::tag() const {
  return transfer_->tag();
}

const std::string& HttpFile::linked_tag() const {
  return transfer_->linked_tag();
}

Status HttpFile::read_at(uint64_t offset, MutableByteSpan out) const {
  return transfer_->read(offset, out);
}

Result<std::unique_ptr<HttpFile>> HttpFile::open(const std::string& address, HttpOptions options) {
  if (Status checked = check_address(address); !checked) return checked.error();
  auto transfer = std::make_unique<Transfer>(address, std::move(options));
  if (Status opened = transfer->open(); !opened) return opened.error();
  return std::unique_ptr<HttpFile>(new HttpFile(std::move(transfer)));
}

}  // namespace potluck
