#include "coordinator/serving/http/api_key_watch.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr Duration kLookInterval = std::chrono::seconds(1);
// The times of files are coarse, up to two seconds on some file systems: one that has just changed
// may change again and look the same.
constexpr uint32_t kLooksUntilSettled = 3;

bool same_keys(const ApiKeys& a, const ApiKeys& b) {
  return a.required() == b.required() &&
         std::ranges::equal(a.list(), b.list(), [](const ApiKey& x, const ApiKey& y) {
           return x.digest == y.digest && x.name == y.name;
         });
}

}  // namespace

Result<std::unique_ptr<ApiKeyWatch>> ApiKeyWatch::open(Storage* storage, std::string path,
                                                       bool may_be_missing, const Clock* clock,
                                                       LogSink* log) {
  std::unique_ptr<ApiKeyWatch> watch(new ApiKeyWatch(storage, std::move(path), clock, log));
  watch->next_look_ = clock->now() + kLookInterval;
  if (const Status read = watch->look(); !read) {
    if (may_be_missing && read.error().code == ErrorCode::kNotFound) return watch;
    return read.error();
  }
  if (watch->keys_.list().empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 watch->path_ +
                     ": there is no key in it: add one with 'potluck keys add NAME', or "
                     "remove the file, and everyone may use the model"};
  }
  return watch;
}

const ApiKeys& ApiKeyWatch::keys() {
  const TimePoint now = clock_.now();
  serving_ = true;
  if (now < next_look_) return keys_;
  next_look_ = now + kLookInterval;
  const Status read = look();
  if (read) {
    complaint_.clear();
  } else if (keys_.required() || read.error().code != ErrorCode::kNotFound) {
    complain(read.error());
  }
  return keys_;
}

Status ApiKeyWatch::look() {
  const auto file = storage_.open(path_, ReadMode::kBuffered);
  if (!file) return file.error();
  const Stamp stamp{(*file)->modified_ns(), (*file)->size()};
  looks_unchanged_ = stamp == stamp_ ? looks_unchanged_ + 1 : 0;
  if (looks_unchanged_ > kLooksUntilSettled) return {};
  stamp_.reset();
  auto keys = ApiKeys::load(storage_, path_);
  if (!keys) return keys.error();
  stamp_ = stamp;
  if (!same_keys(*keys, keys_)) take(std::move(*keys));
  return {};
}

void ApiKeyWatch::take(ApiKeys keys) {
  keys_ = std::move(keys);
  if (!serving_) return;
  const size_t count = keys_.list().size();
  if (count == 0) {
    log_to(log_, {LogLevel::kWarning, "http",
                  path_ + ": there is no key in it any more: requests are refused from now on"});
  } else {
    log_to(log_, {LogLevel::kInfo, "http",
                  fmt::format("{}: {} may use the API now", path_,
                              count == 1 ? "1 key" : fmt::format("{} keys", count))});
  }
}

void ApiKeyWatch::complain(const Error& error) {
  // There was no file, and now there is one: keys are wanted.
  if (!keys_.required()) keys_ = ApiKeys::for_no_one();
  if (error.message == complaint_) return;
  complaint_ = error.message;
  log_to(log_,
         {LogLevel::kError, "http",
          keys_.list().empty()
              ? fmt::format("{}; requests are refused until it can be read", error.message)
              : fmt::format("{}; the keys that were read before stay in force", error.message)});
}

}  // namespace potluck
