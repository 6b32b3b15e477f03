// WorkerCore: the worker as a state machine: event in, actions out. It joins coordinators, fetches
// the units it is assigned, verifies and stores them, and computes. It keeps no state of any
// conversation: hidden state in, partial sum out. What it holds it serves to the other workers of
// its pools, and fetches from them what it lacks. It may belong to several pools at once; grains
// that two models share lie on disk once. Clock, storage, kernels and threads are handed in;
// sockets live outside. One thread.
//
// Work waits in a queue per pool and is computed in blocks of about kBlockTime, the pools in turns
// by the time they took. A block is computed in on_message() if nothing else was to be done, else
// in on_tick(); while work is left, next_tick() is due, so that between blocks beats go out and
// messages come in. A small request is one block.
//
//   per coordinator:  kJoining -> kGreeting -> kFetchingManifest -> kMember
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/log_sink.h"
#include "engine/base/thread_pool.h"
#include "engine/experts/expert_compute.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/stored_source.h"
#include "protocol/message.h"
#include "protocol/serve_pacer.h"
#include "protocol/transport.h"
#include "worker/manifest_store.h"
#include "worker/model_copy.h"
#include "worker/simulated_processor.h"

namespace potluck {

class DeviceMeter;  // worker/device_meter.h

// Grains that were asked for and are not stored yet, all pools together.
inline constexpr uint64_t kFetchWindowBytes = 16 * kMiB;

// How long the core computes before it looks up again; shorter while several pools ask for work.
inline constexpr Duration kBlockTime = std::chrono::milliseconds(100);
inline constexpr Duration kSharedBlockTime = std::chrono::milliseconds(25);
// What coordinators can make a worker keep in memory beside the experts, manifests and assignments,
// before it is taken from --ram.
inline constexpr uint64_t kKeptBytes = 24 * kMiB;

struct WorkerOptions {
  std::string name;                         // for people
  std::string software;                     // "potluck 0.1.0, avx2"
  uint64_t ram_bytes = 0;                   // cache of all pools together
  uint64_t disk_bytes = 0;                  // = the store's quota
  uint64_t serve_rate = kDefaultServeRate;  // bytes per second sent to other workers
  // Where experts are cut from, if this device has the model file; outlives us.
  const ModelCopy* model = nullptr;
  // Makes the reader of a pool's experts; every pool has its own. Empty: the core reads in its own
  // thread, so that the course of a simulation depends on nothing else.
  std::function<std::unique_ptr<BlockReader>()> open_reader = {};
  // Neighbors on disk are read in pieces of that size; 0: as StoredSource has it.
  uint64_t read_bytes = 0;
  // How far ahead of its use the memory of the cache is prepared, in a thread; 0: not at all.
  uint64_t prefault_bytes = 0;
  // Measures this device for placement; outlives us. Null: coordinators are told nothing of it.
  DeviceMeter* meter = nullptr;
  // As if on such a processor; for tests and demos.
  std::optional<SimulatedProcessor> processor = std::nullopt;
};

// For a pool that was found on the network: who this device is, a fresh nonce, and where to knock.
struct PairingOffer {
  PeerKey own_key;
  PairNonce nonce{};
  std::vector<std::string> endpoints;  // of the join channel; not empty
};

// How to reach a pool: an invitation, or what JoinAccept said the last time, or both: then the
// invitation is redeemed first, and if it is refused (used, expired) the endpoints are tried, since
// the coordinator may know this device from before.
struct PoolAddress {
  PeerKey coordinator;
  SigningPublicKey signing_key{};  // zeros: the coordinator says it when it accepts the invitation
  std::optional<Invitation> invitation;
  std::string compute_endpoint;  // the place that worked last
  std::string bulk_endpoint;
  std::string serve_endpoint;  // where its other workers reach this one; empty: they do not
  // All places that are tried, the one above the first of them; empty: there is no other. The join
  // endpoint of a place may be unknown (empty).
  std::vector<PoolPlace> places{};
  // Instead of an invitation: ask to be admitted, once.
  std::optional<PairingOffer> pairing{};
};

// What the owner of the core has to do. ConnectChannel for a channel that is connected already
// means: close it and connect anew.
struct SendMessage {
  PeerKey peer;
  Channel channel = Channel::kCompute;
  Message message;
  ByteVector tensor;
};
struct ConnectChannel {
  PeerKey coordinator;
  Channel channel = Channel::kCompute;
  std::string endpoint;
};
struct DisconnectPeer {
  PeerKey peer;  // a coordinator or another worker
};
struct DisconnectChannel {
  PeerKey coordinator;
  Channel channel = Channel::kJoin;
};
// The bulk channel to another worker; on_connected() or on_refused() tells what came of it.
struct ConnectPeer {
  PeerKey peer;
  std::string endpoint;
};
// How a pool is reached has changed; to be kept for the next start.
struct RememberPool {
  PoolAddress pool;
};
// Which peers may fetch grains from this worker: from now on only these.
struct AdmitPeers {
  std::set<PeerKey> peers;
};
// Something a person should read, with fields for programs; `fatal` ends the membership (refused,
// invitation expired).
struct Notice {
  PeerKey coordinator;
  std::string text;
  LogLevel level = LogLevel::kInfo;
  std::vector<LogField> fields{};
  bool fatal = false;
  bool orderly = false;  // fatal, but no failure: the coordinator has ended on purpose
};
using WorkerAction = std::variant<SendMessage, ConnectChannel, DisconnectPeer, DisconnectChannel,
                                  ConnectPeer, RememberPool, AdmitPeers, Notice>;

// Bytes of experts by where they came from, all of them verified.
struct SourceBytes {
  uint64_t coordinator = 0;
  uint64_t file = 0;                      // cut from --model
  std::map<std::string, uint64_t> peers;  // by name
};

// Progress of one membership, for the terminal.
struct MembershipStatus {
  PeerKey coordinator;
  std::string phase;  // "joining", "greeting", "fetching manifest", "member", "leaving"
  uint32_t units_assigned = 0;
  uint32_t units_ready = 0;
  uint64_t bytes_fetched = 0;
  SourceBytes sources;
  uint64_t rows_computed = 0;
  uint64_t units_computed = 0;
  uint64_t requests_answered = 0;  // with sums
  uint64_t requests_refused = 0;   // with a reason instead
  uint64_t requests_waiting = 0;
  WorkCounters work;  // of those that were answered
};

class WorkerCore {
 public:
  // All references must outlive the core. Without `manifests` every start fetches them anew.
  //
  // Memory: ram_bytes is divided evenly among the pools whose manifest is known; each has a cache
  // of its own, made anew (empty) when the number of such pools changes. Beyond it the core uses at
  // most kFetchWindowBytes for grains under way, GrainFetcher::kKeptBytes per pool for those that
  // wait for another sender, GrainServer::kLoadedBytes for grains that it serves,
  // UnitCompute::kSumsBytes for sums and kKeptBytes for manifests and assignments; what these take
  // beyond is taken from the caches, and a pool for which that leaves too little is refused.
  WorkerCore(const WorkerOptions& options, GrainStore& store, const KernelTable& kernels,
             ThreadPool& pool, const Clock& clock, ManifestStore* manifests = nullptr);
  ~WorkerCore();

  void add_pool(const PoolAddress& address);
  void on_message(const PeerKey& from, Channel channel, Message message, ByteVector tensor);
  // The last part that was to be served could not be sent: the worker is gone, or its queue full.
  void on_not_served(bool gone);
  // The transport could not deliver to this coordinator, or to another worker on its bulk channel.
  void on_unreachable(const PeerKey& peer);
  // A channel was connected, for the first time or again: earlier messages are lost, and what is
  // still needed is asked for at once. An owner that cannot tell need not call it.
  void on_connected(const PeerKey& peer, Channel channel);
  // The other side does not let our key in on this channel.
  void on_refused(const PeerKey& peer, Channel channel);
  // This device reaches the coordinator from another address than before: connections that began at
  // the old one may hang. Other workers reach us at `serve_endpoint` from now on.
  void on_moved(const PeerKey& coordinator, const std::string& serve_endpoint);
  void on_tick();
  // We were away (a suspended machine): the silence of peers until now proves nothing.
  void excuse_silence();
  // This device has other addresses than before: connections may be dead without a sign, and other
  // ways to a coordinator may be open.
  void on_network_changed();
  void leave_all();  // says goodbye
  // How much of its speed the device lends from now on: coordinators are told, and the worker rests
  // between blocks of work. The epoch means nothing here.
  void set_health(const HealthReport& health);
  // The same, but pools get the time to let others take over: each session ends when its
  // coordinator says so. A caller that does not want to wait any longer calls leave_all().
  void leave_gently();

  // What to do now, in order; empties the list.
  std::vector<WorkerAction> take_actions();
  TimePoint next_tick() const;

  std::vector<MembershipStatus> status() const;
  size_t pools() const;             // memberships that have not ended
  uint64_t resident_bytes() const;  // of the caches
  uint64_t bytes_served() const;    // to other workers
  // Whether in every pool what is under way is due and what is missing is being cared for; to be
  // called between events. The error says what is not. For tests: it takes time.
  Status validate() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace potluck
