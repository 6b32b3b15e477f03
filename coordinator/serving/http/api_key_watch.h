// ApiKeyWatch: the keys that a file has now. The file is looked at where keys are asked for, and
// once a second at most, so that `potluck keys` needs no restart of `serve`. Whatever happens to
// the file, nothing is opened by it: while it cannot be read, and after it was removed, the keys
// that were read last stay in force. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "coordinator/serving/http/api_keys.h"
#include "engine/base/clock.h"
#include "engine/base/log_sink.h"

namespace potluck {

class ApiKeyWatch {
 public:
  // Where the file may be missing, everyone may use the API until there is one. A file without any
  // key is an error, now. All but the path must outlive the watch; the sink may be null.
  static Result<std::unique_ptr<ApiKeyWatch>> open(Storage* storage, std::string path,
                                                   bool may_be_missing, const Clock* clock,
                                                   LogSink* log);

  const ApiKeys& keys();

 private:
  struct Stamp {
    int64_t modified_ns = 0;
    uint64_t bytes = 0;
    bool operator==(const Stamp&) const = default;
  };

  ApiKeyWatch(Storage* storage, std::string path, const Clock* clock, LogSink* log)
      : storage_(*storage), path_(std::move(path)), clock_(*clock), log_(log) {}
  Status look();
  void take(ApiKeys keys);
  void complain(const Error& error);

  Storage& storage_;
  const std::string path_;
  const Clock& clock_;
  LogSink* const log_;
  ApiKeys keys_;
  TimePoint next_look_{0};
  std::optional<Stamp> stamp_;    // of the file as it was read last; nothing: read it again
  uint32_t looks_unchanged_ = 0;  // since then
  bool serving_ = false;          // keys were asked for; from then on changes are told
  std::string complaint_;         // that was made last; empty: all is well
};

}  // namespace potluck
