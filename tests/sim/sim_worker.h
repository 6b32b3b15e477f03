// SimWorker: a device with a disk, and the worker process on it, which may die and start again. The
// process is the real WorkerCore. One thread.
#pragma once

#include <functional>
#include <memory>
#include <set>
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
  bool serves = true;  // other workers can connect to it
  const ModelCopy* model = nullptr;
};

class SimWorker;
// The worker with this key, or null; by it a worker that connects finds out whether it is let in.
using FindWorker = std::function<const SimWorker*(const PeerKey&)>;

class SimWorker {
 public:
  // References must outlive the object.
  SimWorker(SimWorkerOptions options, const KernelTable& kernels, const ManualClock& clock,
            SimNetwork& network, FindWorker find_worker);

  const PeerKey& key() const { return options_.key; }
  const std::string& name() const { return options_.name; }
  bool running() const { return core_ != nullptr; }

  void start(const PoolAddress& address);
  // The process ends at once, whatever it was doing.
  void kill(bool quietly);
  // It does nothing and hears nothing until then.
  void freeze(TimePoint until);
  // Its connections to the coordinator were lost and have just been made anew.
  void reconnected();
  // Flips a bit of a grain on its disk; false if there is none yet.
  bool flip_bit(uint64_t which);

  void deliver(Delivery delivery);
  // When it wants to be ticked, if it runs.
  std::optional<TimePoint> next_tick() const;
  void tick();

  // Whether it lets this one fetch grains from it.
  bool admits(const PeerKey& peer) const { return running() && admitted_.contains(peer); }
  // It takes requests for grains and answers none.
  void serve_nothing() { silent_ = true; }
  uint64_t bytes_served() const { return running() ? core_->bytes_served() : 0; }
  MembershipStatus status() const;
  const std::vector<std::string>& notices() const { return notices_; }
  // Notices that ended a membership.
  const std::vector<std::string>& fatal_notices() const { return fatal_notices_; }

 private:
  void run_actions();
  void send(SendMessage& message);
  void connect(const ConnectPeer& connection);

  SimWorkerOptions options_;
  const KernelTable& kernels_;
  const ManualClock& clock_;
  SimNetwork& network_;
  FindWorker find_worker_;
  std::set<PeerKey> admitted_;
  bool silent_ = false;
  MemoryStorage disk_;
  ThreadPool threads_{1};
  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<ManifestStore> manifests_;
  std::unique_ptr<WorkerCore> core_;
  PeerKey coordinator_;
  TimePoint last_tick_{0};
  TimePoint frozen_until_{0};
  std::vector<std::string> notices_;
  std::vector<std::string> fatal_notices_;
};

}  // namespace potluck::sim
