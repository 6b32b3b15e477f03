// SimWorker: a device with a disk, and the worker process on it, which may die and start again. The
// process is the real WorkerCore in the real WorkerLoop; this class is the network and the
// operating system it runs on: it wakes the loop when a message comes, and some time after the
// moment for which the loop waits. With a disk of a given rate the process waits for what it reads,
// and hears nothing meanwhile. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "simulator/device_body.h"
#include "simulator/device_clock.h"
#include "simulator/session_checks.h"
#include "simulator/sim_network.h"
#include "simulator/turn_record.h"

#include "engine/base/block_reader.h"
#include "engine/base/memory_storage.h"
#include "engine/base/storage_profile.h"
#include "worker/device_meter.h"
#include "worker/health_watch.h"
#include "worker/worker_loop.h"

namespace potluck::sim {

struct SimWorkerOptions {
  PeerKey key;
  std::string name;
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;
  bool serves = true;  // other workers can connect to it
  uint64_t serve_rate = kDefaultServeRate;
  const ModelCopy* model = nullptr;
  uint64_t seed = 0;       // of how late it is woken
  uint64_t disk_rate = 0;  // bytes per second that it reads; 0: reading takes no time
  Duration call_time{0};   // a unit applied to a row keeps it busy so long
  bool validate = false;   // after every turn; it takes time
  TurnObserver observer = {};
  std::optional<DeviceSpeed> speed =
      std::nullopt;  // as it measures itself to be; else it says nothing
  // Instead of the rate alone, with the rate scaled to `disk_rate`; or null.
  const StorageProfile* storage = nullptr;
  Duration battery{0};  // a full one lasts so long; zero: it has none
  // What its owner allows: its condition is then watched.
  std::optional<HealthLimits> limits = std::nullopt;
  uint64_t writes_per_day = 0;  // bytes; 0: any number
};

// What a device did in the time since it was first started.
struct DeviceDay {
  Duration since_start{0};
  Duration lent{0};      // running, and lending something
  Duration computed{0};  // products and reads
  uint64_t pauses = 0;
  uint64_t units = 0;  // applied to a row
  uint64_t written_bytes = 0;
  double lowest_battery = 100;  // percent
};

// Finds what it was told: in virtual time nothing can be measured.
class FixedMeter final : public DeviceMeter {
 public:
  explicit FixedMeter(DeviceSpeed speed) : speed_(std::move(speed)) {}
  uint64_t disk_bytes_per_second() override { return speed_.disk_bytes_per_second; }
  // The first of the speeds, for any format.
  ProductSpeed product(TensorType format) override {
    ProductSpeed speed = speed_.products.empty() ? ProductSpeed{} : speed_.products.front();
    speed.format = format;
    return speed;
  }
  uint32_t threads() const override { return speed_.threads; }

 private:
  DeviceSpeed speed_;
};

// Whether `server` lets `peer` fetch grains from it; by it a worker that connects finds out.
using LetsIn = std::function<bool(const PeerKey& server, const PeerKey& peer)>;

class SimWorker final : private Transport, private WorkerLinks {
 public:
  // References must outlive the object.
  SimWorker(SimWorkerOptions options, const KernelTable& kernels, const ManualClock& clock,
            SimNetwork& network, LetsIn lets_in);

  const PeerKey& key() const { return options_.key; }
  const std::string& name() const { return options_.name; }
  bool running() const { return core_ != nullptr; }

  // False: its disk does not let it (the process would end with an error).
  bool start(const PoolAddress& address);
  // Another pool that it belongs to, or shall belong to again; until the process ends.
  void join(const PoolAddress& address);
  // Its owner wants it to end: it hands over first.
  void leave_gently();
  // The process ends at once, even in the middle of work.
  void kill(bool quietly);
  // It does nothing and hears nothing until then.
  void freeze(TimePoint until);
  // The device is suspended: as above, and its clock stands still meanwhile.
  void sleep(Duration duration);
  // Everything that it computes takes so many times as long from now on.
  void throttle(double factor) { slower_ = factor; }
  DeviceClock& clock() { return device_clock_; }
  DeviceBody& body() { return body_; }
  // Its battery has so many degrees, and flash of its kind is slow when that is a lot.
  void warm_to(int32_t celsius);
  DeviceDay day() const;
  bool is_watched() const { return options_.limits.has_value(); }
  MemoryStorage& disk() { return disk_; }
  // Flips a bit of a grain on its disk; false if there is none yet.
  bool flip_bit(uint64_t which);

  void deliver(NetworkMessage sent);
  // When it is woken without a message, if it runs.
  std::optional<TimePoint> next_wake() const;
  void wake();

  // Whether it lets this one fetch grains from it.
  bool admits(const PeerKey& peer) const { return running() && admitted_.contains(peer); }
  // It takes requests for grains and answers none.
  void serve_nothing() { silent_ = true; }
  uint64_t bytes_served() const { return running() ? core_->bytes_served() : 0; }
  // The process has ended by itself: no pool is left that wants it.
  bool ended() const { return running() && core_->pools() == 0; }
  MembershipStatus status() const;
  std::vector<MembershipStatus> memberships() const;
  bool belongs_to(const PeerKey& coordinator) const;
  const std::vector<std::string>& notices() const { return notices_; }
  // Notices that ended a membership.
  const std::vector<std::string>& fatal_notices() const { return fatal_notices_; }
  // What must never happen and did.
  std::vector<std::string> violations() const;
  const std::vector<std::string>& stalled_loop() const { return progress_.violations(); }
  const TrafficCheck& traffic() const { return traffic_; }

 private:
  // One channel to a peer, as ZeroMQ keeps it: it tries again by itself, less and less often.
  struct Link {
    std::string endpoint;
    bool made = false;  // it was connected when last seen
    bool refused = false;
    uint32_t tries = 0;
    TimePoint not_before{0};
  };

  Status send(const PeerKey& peer, Channel channel, Frames frames) override;
  std::optional<Envelope> receive(Duration timeout) override;
  uint64_t compute_bytes() const override { return 0; }
  Status connect(const PeerKey& peer, Channel channel, const std::string& endpoint) override;
  void disconnect(const PeerKey& peer) override;
  void disconnect(const PeerKey& peer, Channel channel) override;
  LinkState state(const PeerKey& peer, Channel channel) override;
  void admit(const std::set<PeerKey>& peers) override;
  void watch_health();
  void count_time();
  void turn();
  void turn_while_it_hears();
  std::unique_ptr<BlockReader> open_disk();
  void run_turn();
  void begin_record();
  void end_record();
  void note(const Notice& notice);
  TurnRecord::Worker known_of(const PeerKey& sender) const;
  void check_budgets();
  Duration draw_lateness();

  SimWorkerOptions options_;
  const KernelTable& kernels_;
  const ManualClock& clock_;
  DeviceClock device_clock_;
  double slower_ = 1;
  double disk_slower_ = 1;
  DeviceBody body_;
  std::optional<HealthWatch> health_;
  HealthReport condition_;  // as the core was told last
  DeviceDay day_;
  std::optional<TimePoint> first_started_;
  TimePoint counted_at_{0};
  SimNetwork& network_;
  LetsIn lets_in_;
  CounterRandom random_;
  uint64_t wakes_ = 0;
  std::set<PeerKey> admitted_;
  bool silent_ = false;
  MemoryStorage disk_;
  ThreadPool threads_{1};
  std::optional<FixedMeter> meter_;
  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<ManifestStore> manifests_;
  std::unique_ptr<WorkerCore> core_;
  std::unique_ptr<WorkerLoop> loop_;
  std::set<PeerKey> coordinators_;
  std::map<std::pair<PeerKey, Channel>, Link> links_;
  std::deque<Envelope> inbox_;
  TimePoint wake_at_{0};
  TimePoint last_turn_{0};
  ProgressCheck progress_;
  TrafficCheck traffic_;
  std::optional<TurnRecord> record_;  // of this turn
  TimePoint frozen_until_{0};
  std::vector<std::string> notices_;
  std::vector<std::string> fatal_notices_;
  std::vector<std::string> violations_;
};

}  // namespace potluck::sim
