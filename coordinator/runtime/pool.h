// Pool: the coordinator's side of a pool as a process sees it: keys, allow list, signed manifest,
// sockets, the core and its loop, the local worker processes, and the executor that `forward` is
// given. The pool looks after its network by itself, in a thread of its own, even while its owner
// is busy. Called by its owner and by the thread that has the executor: each call takes the loop's
// lock. Notices come from any of them.
#pragma once

#include <memory>
#include <string>

#include "coordinator/cluster/beacon_answerer.h"
#include "coordinator/cluster/device_list.h"
#include "coordinator/dispatch/pool_view.h"
#include "coordinator/dispatch/remote_executor.h"
#include "coordinator/runtime/local_workers.h"
#include "coordinator/runtime/loop_keeper.h"
#include "coordinator/runtime/own_expert_source.h"
#include "engine/base/log_sink.h"
#include "engine/model/model.h"
#include "protocol/listen_address.h"
#include "protocol/zmq_transport.h"

namespace potluck {

class PoolSpread;       // pool_spread.h
class SpreadModel;      // coordinator/spread/spread_model.h
struct SpreadProgress;  // pool_spread.h

struct PoolOptions {
  uint32_t slices = 1;
  uint32_t replicas = 1;           // holders of each unit, as far as there is room
  Prefer prefer = Prefer::kSpeed;  // what units are shared out by
  uint32_t local_workers = 0;
  LocalWorkersOptions local;
  ListenPlace listen{"127.0.0.1", {"127.0.0.1"}, false, true};
  uint16_t port = 0;
  std::string name;  // what people call this coordinator
  // Answer workers that ask on this machine's networks who is there, and let them wait to be
  // admitted. On loopback alone if the pool listens there alone.
  bool beacon = false;
  uint16_t beacon_port = kBeaconPort;
  std::vector<AdvertisedHost> advertised{};  // further ways to it, tried before those above
  // Where keys, the allow list and the epoch are kept; empty: fresh keys, discarded at
  // the end.
  std::string state_directory;
  bool prefetch = true;           // tell workers what the next layer is likely to need
  std::string records_directory;  // for the digests of the model's experts; empty: kept nowhere
  uint64_t serve_rate = kDefaultServeRate;  // bytes per second of delivered grains
  VerifyMode verify = VerifyMode::kSample;  // which answers are compared
  uint64_t last_resort_bytes = 0;  // memory for experts that the coordinator lays out itself
  // Memory for experts that the coordinator computes beside its workers; 0: it computes none.
  uint64_t own_bytes = 0;
  // A model of which the coordinator keeps the resident part alone; must outlive the pool. Null:
  // its file is here.
  SpreadModel* spread = nullptr;
  LogSink* log = nullptr;  // must outlive the pool, and take any thread; or null
};

// What a pool has, as its log tells it.
struct PoolCounts {
  uint64_t workers = 0;
  uint64_t units_assigned = 0;
  uint64_t units_ready = 0;
  uint64_t bytes_delivered = 0;

  bool operator==(const PoolCounts&) const = default;
};

class Pool {
 public:
  // References must outlive the pool. Builds and signs the manifest (reads every expert once),
  // opens the sockets, starts the local workers.
  static Result<std::unique_ptr<Pool>> open(PoolOptions options, const Model& model,
                                            const KernelTable& kernels, ThreadPool& threads,
                                            Storage& storage, const Clock& clock, Entropy& entropy,
                                            const Progress& progress);
  ~Pool();  // ends the local workers

  // Waits until `workers` workers have joined and hold all their units. Fails when a local worker
  // ends meanwhile, or when nothing moves for a long time.
  Status wait_until_ready(uint32_t workers, const Progress& progress);
  bool ready(uint32_t workers);

  // Whether devices may ask to be admitted.
  bool takes_strangers() const { return options_.beacon; }
  // Devices that wait to be admitted, and the admission of the one that shows this code.
  std::vector<WaitingDevice> waiting_devices();
  Result<WaitingDevice> admit(const std::string& code);
  // Turns it away instead.
  Result<WaitingDevice> refuse(const std::string& code);

  // The devices that may connect. They are named by the beginning of their key, or by their name if
  // no other has it.
  std::vector<PoolDevice> devices();
  Result<PoolDevice> rename_device(const std::string& device, const std::string& name);
  // It is no member any more, and its connections are refused. On the list it is gone even if that
  // cannot be saved; the error says so.
  Result<PoolDevice> revoke_device(const std::string& device);

  // How far spreading is, where the model is spread.
  std::optional<SpreadProgress> spread_progress();
  // Where the model was read from; empty where its file is here.
  std::string spread_source() const;

  // A fresh invitation that works once within a day. Strangers may knock while one is open.
  Invitation invite();

  ExpertExecutor& executor() { return *executor_; }
  const LayerTimes& layer_times() const { return executor_->times(); }
  LocalWorkers& local_workers() { return *local_; }
  // All ways to this coordinator, the most likely first.
  std::vector<PoolPlace> places() const;
  const PeerKey& key() const { return keys_.curve.public_key; }

  // For a trace: the accepted answers of workers since the last call.
  void keep_answers(bool keep);
  void take_answers(std::vector<WorkerAnswer>* answers);
  std::string describe(const PeerKey& worker);

  // What people are shown of it, now.
  PoolView view();
  // The map if its fingerprint is another one than this, which is then brought up to date; every
  // time with `anyway`.
  std::optional<UnitMap> map(uint64_t* fingerprint, bool anyway);

  // As of now.
  DispatchStatistics statistics();
  uint64_t compute_bytes();
  uint64_t bytes_delivered();
  uint32_t workers_lost();
  size_t open_invitations();
  // Who is in the pool. Look at it only while holding lock(), during which nothing happens to it.
  std::unique_lock<std::mutex> lock() { return loop_->lock(); }
  const ClusterState& cluster() const { return core_->cluster(); }
  // The same goes for these.
  const Dispatcher& dispatcher() const { return core_->dispatcher(); }
  const QuarantineList& quarantine() const { return quarantine_; }

  // Lets all workers out of quarantine, at their owner's word; returns how many.
  size_t release_quarantined();
  // How it shares out work, and by what; likewise.
  const ShareKeeper& shares() const { return core_->shares(); }
  const PoolLearning& learned() const { return core_->learned(); }

 private:
  Pool(PoolOptions options, const Model& model, ThreadPool& threads, Storage& storage,
       const Clock& clock, Entropy& entropy, const DeviceKeys& keys);
  Status load_identity(Storage& storage);
  Status make_manifest(const Progress& progress);
  const Manifest& manifest();
  Status open_sockets();
  void make_core(const KernelTable& kernels);
  Status start_local_workers();
  void tell_ways(const PeerKey& peer, JoinAccept* accept) const;
  void open_beacon();
  std::optional<DeviceFacts> own_facts(const KernelTable& kernels);
  void tell_own_experts();
  void look_after_strangers();
  void answer_beacon();
  void log_counts();
  void log(const LogEvent& event) const { log_to(options_.log, event); }
  Status describe_stall(uint32_t workers);

  PoolOptions options_;
  const Model& model_;
  ThreadPool& threads_;
  Storage& storage_;
  const Clock& clock_;
  Entropy& entropy_;
  DeviceKeys keys_;
  uint64_t epoch_ = 0;
  AllowList allow_list_;
  InvitationBook invitations_;
  QuarantineList quarantine_;
  // What the log was last told.
  DispatchStatistics logged_;
  PoolCounts logged_counts_;
  uint64_t strangers_told_ = 0;  // how many were turned away, when that was last said
  TimePoint strangers_told_at_{0};
  TimePoint strangers_seen_at_{0};
  std::unique_ptr<Manifest> manifest_;
  SignedManifest signed_manifest_;
  std::unique_ptr<PoolSpread> spread_;  // or null; its thread ends first
  std::unique_ptr<ZmqServerTransport> transport_;
  std::unique_ptr<DatagramSocket> beacon_socket_;  // or null
  std::optional<BeaconAnswerer> beacon_;
  std::unique_ptr<CoordinatorCore> core_;
  std::unique_ptr<CoordinatorLoop> loop_;
  std::unique_ptr<GgufSource> last_resort_;
  std::unique_ptr<OwnExpertSource> own_experts_;
  std::vector<uint32_t> own_told_;  // as own_experts_ was last told
  std::unique_ptr<ExpertCompute> compute_;
  std::unique_ptr<RemoteExecutor> executor_;
  std::unique_ptr<LocalWorkers> local_;
  std::unique_ptr<LoopKeeper> keeper_;  // ends first
};

}  // namespace potluck
