// PoolBoard: the pool as it was reported last, and those who watch it: streams that get every
// report when it comes. Bounded: so many watchers; one that does not take what it is sent is
// dropped by the connection's own limit. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "coordinator/serving/http/http_exchange.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

// Texts of JSON objects; empty before the first report.
struct PoolReport {
  std::string pool;
  std::string map;  // which device has which experts; large, so it is asked for when it changed
};

class PoolBoard : public std::enable_shared_from_this<PoolBoard> {
 public:
  // People have a few pages open; more would only cost the coordinator time.
  static constexpr size_t kMostWatchers = 32;

  void publish(PoolReport report);
  PoolReport report() const;

  // Whether there is room. The stream's head must have been sent, and its bytes are the board's
  // from now on.
  bool watch(const std::shared_ptr<HttpExchange>& exchange);
  // To everyone who watches.
  void send(const std::string& bytes);
  size_t watchers() const;
  // Ends all streams; there are none from now on. So that a server that stops does not wait.
  void close();

 private:
  mutable Mutex mutex_;
  PoolReport report_ GUARDED_BY(mutex_);
  std::map<uint64_t, std::shared_ptr<HttpExchange>> watchers_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_) = 1;
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace potluck
