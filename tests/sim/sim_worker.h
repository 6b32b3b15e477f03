// SimWorker: a device with a disk, and the worker process on it, which may die and start again. The
// process is the real WorkerCore. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/memory_storage.h"
#include "tests/sim/sim_network.h"
#include "worker/worker_core.h"

namespace potluck::sim {

struct SimWorkerOptions {
  PeerKey key;
  std::string name;
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;
};

class SimWorker {
 public:
  // References must outlive the object.
  SimWorker(SimWorkerOptions options, const KernelTable& kernels, const ManualClock& clock,
            SimNetwork& network);

  const PeerKey& key() const { return options_.key; }
  const std::string& name() const { return options_.name; }
  bool running() const { return core_ != nullptr; }

  void start(const PoolAddress& address);
  // The process ends at once, whatever it was doing.
  void kill(bool quietly);
  // It does nothing and hears nothing until then.
  void freeze(TimePoint until);
  // Flips a bit of a grain on its disk; false if there is none yet.
  bool flip_bit(uint64_t which);

  void deliver(Delivery delivery);
  // When it wants to be ticked, if it runs.
  std::optional<TimePoint> next_tick() const;
  void tick();

  // Notices that ended a membership.
  const std::vector<std::string>& fatal_notices() const { return fatal_notices_; }

 private:
  void run_actions();

  SimWorkerOptions options_;
  const KernelTable& kernels_;
  const ManualClock& clock_;
  SimNetwork& network_;
  MemoryStorage disk_;
  ThreadPool threads_{1};
  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<ManifestStore> manifests_;
  std::unique_ptr<WorkerCore> core_;
  PeerKey coordinator_;
  TimePoint last_tick_{0};
  TimePoint frozen_until_{0};
  std::vector<std::string> fatal_notices_;
};

}  // namespace potluck::sim
