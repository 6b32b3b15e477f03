// KeyCheck: lets requests in by their keys and counts them by the names of these. What is counted
// is bounded by the length of lists: where there would be more names, those that are not on the
// list any more are dropped. Called by the HTTP server's thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/serving/http/api_error.h"
#include "coordinator/serving/http/api_key_watch.h"
#include "coordinator/serving/http/api_keys.h"
#include "coordinator/serving/http/metric_text.h"

namespace potluck {

// The answer to a request without a key that is known.
ApiError missing_key();

class KeyCheck {
 public:
  // The keys of the watch, or, if that is null, these.
  KeyCheck(ApiKeys keys, std::unique_ptr<ApiKeyWatch> watch)
      : keys_(std::move(keys)), watch_(std::move(watch)) {}

  // Whether a key is needed.
  bool required() { return keys().required(); }
  // The name of the request's key, and an empty one where everyone may; nothing: it is refused.
  std::optional<std::string> admit(const HttpHeaders& headers);

  // Whether what is asked with a key of that name stays in this pool.
  bool stays_here(const std::string& name);

  // Writes nothing where there never were keys.
  void write_metrics(MetricText* text);

 private:
  const ApiKeys& keys() { return watch_ ? watch_->keys() : keys_; }
  void forget_others(const ApiKeys& keys);

  const ApiKeys keys_;
  const std::unique_ptr<ApiKeyWatch> watch_;
  std::map<std::string, uint64_t> admitted_;
  uint64_t refused_ = 0;
};

}  // namespace potluck
