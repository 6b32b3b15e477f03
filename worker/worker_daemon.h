// The worker as a process: moves frames between a ZeroMQ transport and a WorkerCore until told to
// stop. Owns the store, the transport, the threads. One thread calls run().
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "engine/base/random.h"
#include "worker/worker_core.h"

namespace potluck {

struct WorkerDaemonOptions {
  std::string token;            // an invitation; empty: rejoin the pools the store knows
  std::string store_directory;  // keys, grains, known pools
  std::string name;
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;
  int threads = 1;
  std::string isa;       // "": the best this processor can do
  bool remember = true;  // keep the pool's address in the store, to rejoin without a token
};

// Told what happens; never called from another thread than run()'s.
struct WorkerObserver {
  std::function<void(const std::string& text)> notice;
  std::function<void(const MembershipStatus& status)> status;  // at most a few times a second
};

// Runs until `stop` becomes true, or until no pool is left that wants this worker (an error then
// says why: refused, expired, unknown key).
Status run_worker(const WorkerDaemonOptions& options, Storage& storage, const Clock& clock,
                  Entropy& entropy, const WorkerObserver& observer, const std::atomic<bool>& stop);

}  // namespace potluck
