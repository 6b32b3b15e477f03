// CurlCaller: an HttpCaller over libcurl, with one thread for all calls. Certificates are verified,
// redirections are not followed (the key would go along), proxies of the environment are used for
// https:// alone, answers are not decompressed, and headers are bounded.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "coordinator/upstream/http_caller.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

class CurlCaller final : public HttpCaller {
 public:
  static constexpr size_t kMostCalls = 64;
  // Of one answer. Servers send some hundred bytes; a head is of no use here.
  static constexpr size_t kMostHeaderBytes = 64 * 1024;

  static Result<std::unique_ptr<CurlCaller>> start();
  // Ends what is under way: sinks are told kCancelled.
  ~CurlCaller() override;
  CurlCaller(const CurlCaller&) = delete;
  CurlCaller& operator=(const CurlCaller&) = delete;

  Result<HttpCallId> call(HttpCall call, std::shared_ptr<HttpCallSink> sink) override;
  void cancel(HttpCallId id) override;

 private:
  class Transfer;
  class Multi;
  explicit CurlCaller(std::unique_ptr<Multi> multi);

  void work_until_stopped();
  // What others asked for since the last time.
  void take_orders();

  const std::unique_ptr<Multi> multi_;
  Mutex mutex_;
  HttpCallId next_id_ GUARDED_BY(mutex_) = 1;
  size_t calls_ GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<Transfer>> new_ GUARDED_BY(mutex_);
  std::vector<HttpCallId> cancelled_ GUARDED_BY(mutex_);
  std::atomic<bool> stopping_{false};
  std::thread thread_;
  std::map<HttpCallId, std::unique_ptr<Transfer>> under_way_;  // the thread's own
};

}  // namespace potluck
