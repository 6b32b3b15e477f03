// The worker as a process: owns the store, the keys, the ZeroMQ transport and the threads, and runs
// a WorkerLoop over them until told to stop. The thread that calls run_worker() does it all.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "engine/base/block_reader.h"
#include "engine/base/log_sink.h"
#include "engine/base/random.h"
#include "protocol/simulated_link.h"
#include "worker/beacon_search.h"
#include "worker/health_watch.h"
#include "worker/worker_core.h"

namespace potluck {

struct WorkerDaemonOptions {
  // An invitation; empty: rejoin the pools the store knows. A used invitation of a pool that the
  // store knows is no obstacle: it is tried first, then the endpoints of the last time.
  std::string token;
  // Instead of an invitation: a pool that was found on the network, which is to admit this device.
  std::optional<FoundPool> pair_with;
  std::string store_directory;  // keys, grains, known pools
  std::string name;
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;
  uint64_t max_writes_per_day = 0;  // bytes to the store; 0: any number
  int threads = 1;
  std::string isa;      // "": the best this processor can do
  std::string version;  // of this program, for people
  // Where other workers may fetch grains from this one, "HOST:PORT"; empty: the address by which
  // the coordinator is reached, any port; "off": nowhere.
  std::string listen;
  uint64_t serve_rate = kDefaultServeRate;  // bytes per second sent to them
  std::string model_path;                   // a model file to cut experts from; empty: none
  bool remember = true;  // keep the pool's address in the store, to rejoin without a token
  // How long pools may take to let others take over what this worker holds, once it is to stop.
  Duration leave_timeout{0};
  const std::atomic<bool>* leave = nullptr;  // becomes true: to stop as well; may be null
  ReaderSettings reader;
  // As if behind such a link, with a processor so many times slower; for tests and demos.
  std::optional<LinkSpec> simulated_link;
  double simulated_compute = 1;
  HealthOptions health;
};

// What a worker is like at one moment, for people.
struct WorkerReport {
  std::string name;
  std::string software;
  PeerKey key;
  uint64_t memory_bytes = 0;       // what may be used for experts,
  uint64_t resident_bytes = 0;     // and what is
  uint64_t memory_shrinks = 0;     // how often the system needed some of it,
  uint64_t memory_given_back = 0;  // and how much it got in all
  uint64_t disk_bytes = 0;         // what may be taken,
  uint64_t stored_bytes = 0;       // and what is
  uint64_t bytes_served = 0;       // to other workers
  double steady_seconds = 0;       // when this was so
  HealthReport health;
  std::vector<MembershipStatus> pools;
};

// Told what happens; never called from another thread than run_worker()'s. Any may be empty.
struct WorkerObserver {
  LogSink* log = nullptr;  // must outlive the call
  // The store is open, and this process's alone until the call ends.
  std::function<void()> opened;
  // When phase, units or bytes fetched have changed; at most a few times a second.
  std::function<void(const MembershipStatus& status)> status;
  // A few times a second, changed or not.
  std::function<void(const WorkerReport& report)> report;
};

// Runs until `stop` becomes true, until the last coordinator has ended, or until no pool is left
// that wants this worker (an error then says why: refused, expired, unknown key).
Status run_worker(const WorkerDaemonOptions& options, Storage& storage, const Clock& clock,
                  Entropy& entropy, const SystemFiles& system, const WorkerObserver& observer,
                  const std::atomic<bool>& stop);

}  // namespace potluck
