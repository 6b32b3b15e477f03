// Pull: fetches the files of a model into Potluck's folder. Ranges come over several connections;
// what is there is written down and survives a cut, a kill and a full disk. The model is at its
// place only when every file of it is whole and its digest is right. Called by one thread; works on
// the threads of the pool that it is given.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "coordinator/models/pull_record.h"
#include "coordinator/spread/http_handle.h"
#include "engine/base/thread_pool.h"

namespace potluck {

struct PullOptions {
  HttpOptions http;
  ThreadPool* threads = nullptr;  // a connection for each; both must outlive the pull
  const Clock* clock = nullptr;
  // `stage` is "fetching" or "checking"; from any of the threads, one at a time.
  std::function<void(const char* stage, uint64_t done, uint64_t total)> progress;
};

struct PullResult {
  std::vector<std::string> paths;
  uint64_t fetched_bytes = 0;           // by this call
  bool was_there = false;               // nothing was to be done
  std::vector<std::string> unverified;  // files of which the server gives no digest
};

// kRefused: another process pulls the same; kLimit: the disk has no room, and nothing was fetched,
// or it filled up meanwhile; kCorrupt: a digest is wrong; kCancelled, kIo. Whatever the error, the
// same call goes on where this one stopped, except that a file with a wrong digest is fetched anew.
Result<PullResult> pull_model(Storage& storage, const std::string& models, const PullRecord& record,
                              const PullOptions& options);

}  // namespace potluck
