// SimPool: a whole pool in one process and in virtual time: the real CoordinatorCore,
// CoordinatorLoop and RemoteExecutor, workers on devices of their own, a network between them, and
// faults that strike at chosen messages. Everything that happens follows from the seed. Time passes
// while the coordinator's loop waits. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulator/liar.h"
#include "simulator/session_checks.h"
#include "simulator/sim_actor.h"
#include "simulator/sim_model.h"
#include "simulator/sim_network.h"
#include "simulator/sim_spread.h"
#include "simulator/sim_worker.h"

#include "coordinator/dispatch/remote_executor.h"
#include "engine/base/memory_storage.h"

namespace potluck::sim {

enum class FaultKind {
  kKill,       // the process ends, and senders are told (kill -9)
  kVanish,     // the device loses power: no peer is told
  kRestart,    // killed, and started again after `duration` with its disk
  kFreeze,     // nothing happens there for `duration` (kill -STOP)
  kCorrupt,    // half of its answers, and of the grains sent to it, are altered for `duration`
  kFlipBit,    // a bit on its disk is flipped
  kNewcomer,   // another worker joins
  kLie,        // half of the grains it serves to other workers are altered for `duration`
  kSilent,     // it answers no worker that asks it for grains
  kPartition,  // the links to half of the other workers are cut for good
};

struct Fault {
  FaultKind kind = FaultKind::kKill;
  uint64_t at_compute = 0;  // strikes when the coordinator sends its n-th Compute (from 1)
  size_t worker = 0;        // which
  Duration duration{0};
  uint64_t at_served = 0;  // or when a worker sends the n-th part of a grain to another one
};

struct SimPoolOptions {
  uint64_t seed = 1;
  uint32_t slices = 1;
  uint64_t worker_ram_bytes = 64 * kMiB;
  uint64_t worker_disk_bytes = kGiB;
  uint64_t worker_serve_rate = kDefaultServeRate;
  LinkOptions link;
  const ModelCopy* worker_model = nullptr;  // on every worker's device
  Duration worker_call_time{0};             // a unit applied to a row keeps a worker busy so long
  // Reaching one of them means that nothing moves on any more.
  uint64_t most_steps = 3'000'000;
  Duration longest_run = std::chrono::hours(3);
  // Of single workers, in the order in which they come: otherwise as above, and they do not say how
  // fast they are.
  std::vector<Duration> call_times{};
  std::vector<DeviceSpeed> speeds{};
  uint32_t replicas = 1;
  uint64_t own_bytes = 0;         // memory of the coordinator for experts of its own
  int threads = 1;                // of the coordinator
  uint32_t founding_workers = 0;  // units are placed once so many are there
  uint32_t top_k = 8;             // experts that a token uses in a layer
  bool validate_workers = false;  // after every turn of theirs
  VerifyMode verify = VerifyMode::kSample;
  TurnObserver observer;  // of turns with one message
  // The model is spread, so many bytes of experts at a time; 0: its file is with the coordinator.
  uint64_t spread_window = 0;
};

// One device, where it differs from the others.
struct DeviceOptions {
  std::string name;  // empty: by its number
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;
  uint64_t disk_rate = 0;
  Duration call_time{0};
  std::optional<DeviceSpeed> speed = std::nullopt;
  std::optional<LinkOptions> link = std::nullopt;
  bool serves = true;
  const StorageProfile* storage = nullptr;  // its disk; null: one of that rate
  Duration battery{0};                      // zero: none
  std::optional<HealthLimits> limits = std::nullopt;
  uint64_t writes_per_day = 0;
};

class SimPool final : private Transport {
 public:
  // The model must outlive the pool. Only one with weights can be computed by add_worker()'s.
  SimPool(const PoolModel& model, const SimPoolOptions& options);

  // A new device with a fresh invitation.
  void add_worker(bool serves = true);
  void add_worker(const DeviceOptions& device);
  // A new device without one, which asks to be admitted.
  void add_stranger();
  // Another party on the network; from now on it is listened to and woken.
  void add_actor(std::unique_ptr<SimActor> actor);
  // As if the device had joined.
  void allow(const PeerKey& key);
  Invitation invite();
  SimNetwork& network() { return network_; }
  const PeerKey& key() const { return keys_.curve.public_key; }
  const PoolModel& model() const { return model_; }
  const Manifest& manifest() const { return model_.manifest(); }
  uint32_t slices() const { return options_.slices; }
  void add_fault(const Fault& fault) { faults_.push_back(fault); }
  // Faults that have not struck yet never will; what is altered ends now. Restarts still happen.
  void end_faults();

  void strike(const Fault& fault);
  // At that moment of virtual time, between two events.
  void schedule(TimePoint at, std::function<void()> act) { schedule_.emplace(at, std::move(act)); }
  // The worker's process starts again, with its disk, if it does not run. While its disk does not
  // let it, it is tried again and again.
  void restart_worker(size_t worker);
  // Into the log.
  void note(const std::string& text);
  uint64_t steps() const { return steps_; }
  // From now on this worker answers wrongly, once in so many answers.
  void make_liar(size_t worker, LieKind kind, uint64_t one_in);
  const Liar& liar(size_t worker) const { return *liars_.at(workers_.at(worker)->key()); }
  bool in_quarantine(size_t worker) const {
    return quarantine_.contains(workers_.at(worker)->key());
  }
  // The coordinator's process ends; quietly: its machine loses power. And starts again, with its
  // keys and its list of members, and the next epoch.
  void stop_coordinator(bool quietly);
  void start_coordinator();
  // From its next start on it has other ports than any worker knows, but for joining.
  void move_coordinator() { ++moves_; }
  // It does nothing for so long (kill -STOP); everything else goes on.
  void freeze_coordinator(Duration duration);
  // The same while time passes anyway; may be called between two events.
  void stall_coordinator(Duration duration);
  // The coordinator computes something of its own for so long, and hears nothing meanwhile.
  void compute_for(Duration duration);
  // The clock jumps; no device did anything meanwhile (all devices were suspended).
  void jump(Duration duration) { clock_.advance(duration); }
  void run_for(Duration duration);
  // Breaks the worker's connections to the coordinator for a while.
  void cut(size_t worker, Duration duration);
  // Runs until the condition holds; false if it does not within so much virtual time.
  bool run_until(const std::function<bool()>& condition, Duration limit);
  // All running workers are members, and every unit is ready at as many as there are to be, if
  // there are so many that are trusted.
  bool at_rest() const;
  // Of the above: every unit is ready at as many as there are to be and get any.
  bool holds_everything() const;
  size_t running_workers() const;

  // Where a model that is spread comes from; and how far it is: null while the coordinator is down.
  SimSource& source() { return source_; }
  SimSpread* spread() { return spread_.get(); }

  ThreadPool& threads() { return threads_; }
  // While the coordinator runs.
  RemoteExecutor& executor() { return *executor_; }
  CoordinatorCore& core() { return *core_; }
  bool coordinator_runs() const { return core_ != nullptr; }
  const ManualClock& clock() const { return clock_; }
  // From the coordinator to this worker, headers and all.
  uint64_t bytes_sent_to(size_t worker) const {
    return network_.bytes_sent(keys_.curve.public_key, workers_.at(worker)->key());
  }
  SimWorker& worker(size_t index) { return *workers_.at(index); }
  const SimWorker& worker(size_t index) const { return *workers_.at(index); }
  size_t workers() const { return workers_.size(); }
  const TrafficCheck& traffic() const { return traffic_; }  // of the coordinator
  // What must never happen and did.
  std::vector<std::string> violations() const;
  // Of those: loops that wait for nothing or never end, and honest workers in quarantine.
  std::vector<std::string> stalled_loops() const;
  std::vector<std::string> misjudged() const;
  // What the coordinator told its people, and the faults, in order; the last part of it.
  const std::vector<std::string>& log() const { return log_; }

 private:
  struct Timer {
    TimePoint at;
    size_t worker;
  };

  Status send(const PeerKey& peer, Channel channel, Frames frames) override;
  std::optional<Envelope> receive(Duration timeout) override;
  uint64_t compute_bytes() const override { return 0; }
  void begin_spreading(CoordinatorCoreOptions* options);
  DeviceOptions next_device(bool serves) const;
  void add_device(PoolAddress address, const DeviceOptions& device, const PeerKey& key);
  SimActor* actor_of(const PeerKey& key) const;
  void turn();
  void after_turn();
  Duration draw_lateness();
  bool lets_in(const PeerKey& server, const PeerKey& peer) const;
  void count_sent(const PeerKey& peer, Channel channel, const Message& message,
                  const Frames& frames);
  void record_heard(const Envelope& envelope);
  void end_record();
  TurnRecord::Pool known_of(const PeerKey& sender) const;
  void deliver(const NetworkMessage& sent);
  void strike_served(const NetworkMessage& sent);
  void step_until(TimePoint deadline);
  TimePoint next_event() const;
  void run_due_events();
  void count_step();
  void tamper(NetworkMessage& sent);
  void lie(NetworkMessage& sent);

  const PoolModel& model_;
  SimPoolOptions options_;
  CounterRandom random_;
  ManualClock clock_;
  SimNetwork network_;
  SeededEntropy entropy_;
  DeviceKeys keys_;
  SignedManifest signed_manifest_;
  AllowList allow_list_;
  InvitationBook invitations_;
  QuarantineList quarantine_;
  std::map<PeerKey, std::unique_ptr<Liar>> liars_;
  ThreadPool threads_;
  GgufSource last_resort_;
  ExpertCompute compute_;
  uint64_t epoch_;
  uint64_t moves_ = 0;
  MemoryStorage spread_disk_;  // outlives the coordinator's process
  SpreadFolder spread_folder_;
  SimSource source_;
  std::unique_ptr<SimSpread> spread_;
  std::unique_ptr<CoordinatorCore> core_;
  std::unique_ptr<CoordinatorLoop> loop_;
  std::unique_ptr<RemoteExecutor> executor_;
  std::vector<std::unique_ptr<SimWorker>> workers_;
  std::vector<std::unique_ptr<SimActor>> actors_;
  std::vector<PoolAddress> addresses_;  // of the workers, for their next start
  std::map<PeerKey, size_t> worker_index_;
  std::vector<Fault> faults_;
  std::multimap<TimePoint, std::function<void()>> schedule_;
  std::vector<Timer> restarts_;
  std::map<PeerKey, TimePoint> corrupt_until_;
  std::map<PeerKey, TimePoint> lies_until_;
  std::deque<Envelope> inbox_;  // of the coordinator
  TimePoint frozen_until_{0};   // until then arriving messages do not wake the coordinator
  uint64_t waits_ = 0;
  TimePoint last_turn_{0};  // of the coordinator
  ProgressCheck progress_{"the coordinator"};
  TrafficCheck traffic_;
  std::optional<TurnRecord> record_;  // of this turn
  uint64_t heard_ = 0;                // messages, in this turn
  uint64_t computes_sent_ = 0;
  uint64_t parts_served_ = 0;
  std::vector<Fault> due_faults_;  // they strike between two events
  uint64_t steps_ = 0;
  std::vector<std::string> violations_;
  std::vector<std::string> log_;
};

// Three workers that hold everything, in two slices, with some time for each call: how several
// sessions share a pool.
std::unique_ptr<SimPool> pool_at_rest(const SimModel& model, uint64_t seed);

}  // namespace potluck::sim
