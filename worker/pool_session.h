// PoolSession: one membership of the worker: joins a coordinator, gets the manifest, holds units
// and answers for them. A state machine behind WorkerCore, which owns one per coordinator. Messages
// and ticks in, actions out (appended to the list in the context). One thread.
//
//   kJoining --JoinAccept--> kGreeting --Welcome--> kFetchingManifest --manifest--> kMember
//                               ^                                                     |
//                               +-- silence, another epoch: what is held stays held --+
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/liveness.h"
#include "worker/grain_server.h"
#include "worker/unit_compute.h"
#include "worker/unit_table.h"
#include "worker/worker_core.h"

namespace potluck {

// What all sessions of a worker share. Must outlive them.
struct WorkerContext {
  WorkerOptions options;
  std::vector<KernelDigest> kernels;  // what they compute
  GrainStore& store;
  ManifestStore* manifests;  // or null
  const Clock& clock;
  UnitCompute compute;
  std::vector<WorkerAction> actions;
  // Removes grains that no pool needs until `bytes` fit into the store; false if they cannot.
  std::function<bool(uint64_t bytes)> make_room;
  // Keeps a manifest on disk, if there is room for it.
  std::function<Status(const Digest& digest, const SignedManifest& manifest)> save_manifest;
  GrainServer server;
  bool peers_changed = false;   // a session wants other connections, or admits others
  bool memory_changed = false;  // a session keeps more or less than before
};

class PoolSession {
 public:
  // The coordinator learns so often where grains came from, while they come.
  static constexpr Duration kSourcesInterval = std::chrono::seconds(1);

  // Requests that wait for their turn, beside the one that is being computed: more than any
  // coordinator of this version sends ahead, and a bound on what one can make us keep.
  static constexpr size_t kRequestsWaiting = 32;
  static constexpr uint64_t kBytesWaiting = 16 * kMiB;

  PoolSession(const PoolAddress& address, WorkerContext& context);

  void start();
  void on_message(Channel channel, Message& message, ByteVector& tensor);
  void on_unreachable();
  void on_connected(Channel channel);
  void on_refused(Channel channel);
  void on_tick();
  // The store has lost a grain: what people should read about it, or nothing.
  void on_grain_lost(const Digest& digest, const std::string& finding);
  void leave(const std::string& reason);  // says goodbye
  // Other workers of the pool; any other key is passed over.
  void on_peer_data(const PeerKey& peer, const BulkData& data, ByteSpan part);
  void on_peer_connected(const PeerKey& peer);
  void on_peer_refused(const PeerKey& peer);
  void on_peer_lost(const PeerKey& peer);  // or it cannot be sent to
  bool has_peer(const PeerKey& peer) const;
  bool is_connecting(const PeerKey& peer) const;
  // Adds whom to be connected to, and who may fetch from us.
  void collect_peers(std::map<PeerKey, std::string>* connections,
                     std::set<PeerKey>* admitted) const;
  // We did not listen for a while (computing): silence until now proves nothing.
  void excuse_silence();
  // We were away: the same, and the coordinator has had no chance to answer us.
  void excuse_absence();
  TimePoint next_tick() const;

  // --- work; the owner of the sessions decides whose turn it is ---
  // Something is being computed, or waits to be, or is to be answered.
  bool has_work() const { return !ended_ && (job_state_ != JobState::kNone || !waiting_.empty()); }
  // Computes a part of the oldest request, about as much as the budget. Returns what it took.
  Duration work(Duration budget);
  // The request was computed to the end: to be answered, once its time has passed.
  bool work_done() const { return job_state_ == JobState::kDone; }
  void answer_job();
  TimePoint asked_at() const { return asked_at_; }  // when work last came

  // Refused, left or told to go: to be removed. Its last actions are in the list.
  bool ended() const { return ended_; }
  MembershipStatus status() const;

  const PeerKey& coordinator() const { return address_.coordinator; }
  const Manifest* manifest() const { return manifest_.get(); }
  // What the coordinator has announced; nothing before its Welcome.
  std::optional<Digest> manifest_name() const;
  const UnitTable& units() const { return units_; }
  // This session's share of the memory for grains, and of the window for grains under way. A new
  // share empties the cache.
  void set_shares(uint64_t cache_bytes, uint64_t window_bytes);
  uint64_t resident_bytes() const;
  // What this session keeps in memory because its coordinator said so: manifest and assignment.
  uint64_t kept_bytes() const;
  // Whether what is under way is due, and what is missing is being cared for; to be called between
  // events. For tests: it takes time.
  Status validate() const;
  // Ends the session: not a single grain fits into its share of --ram.
  void refuse_memory(uint64_t cache_bytes);

 private:
  enum class Phase { kJoining, kGreeting, kFetchingManifest, kMember };

  // Joining and greeting: pool_greeting.cpp.
  void send_join_request();
  void start_asking();
  void tell_waiting(const std::string& endpoint);
  void on_join(const Message& message);
  void join_refused(const std::string& reason);
  void go_to_endpoints();
  void start_greeting();
  void greet();
  void connect_channels();
  void on_welcome(const Welcome& welcome);
  void on_refusal(const Refusal& refusal);
  void on_goodbye(const Goodbye& goodbye);
  void on_heartbeat(const Heartbeat& heartbeat);
  void keep_alive();

  // The manifest, and what comes on the bulk channel: pool_delivery.cpp.
  void find_manifest();
  void request_manifest();
  void request_manifest_parts();
  void tick_manifest();
  TimePoint manifest_due() const;
  void on_manifest_part(const BulkData& data, ByteSpan part);
  void retry_manifest(const std::string& reason);
  void take_manifest(SignedManifest signed_manifest, bool from_disk);
  void become_member();
  void on_assignment(Assignment assignment);
  void on_bulk_data(SourceId from, const BulkData& data, ByteSpan part);
  void request_bulk_again();

  // Units and their grains: pool_grains.cpp.
  void apply(const Assignment& assignment);
  void feed_fetcher();
  void request_grains();
  bool fetching() const;
  void store_grain(SourceId from, const Digest& digest, ByteSpan bytes, bool mixed);
  void grain_failed(const Digest& digest, const std::string& reason, bool ours);
  void stop_fetching(const std::string& reason);
  void offer_room(uint64_t bytes);
  bool room_limited() const;
  void look_for_room();
  uint64_t stored_bytes() const;
  uint64_t largest_expert_bytes() const;
  void report_residency();

  // Other workers, the model file of this device, and the account of both: pool_sources.cpp.
  void on_roster(const Roster& roster);
  void resolve_holders(Assignment* assignment) const;
  void drop_peer(SourceId id, const std::string& reason);
  void tick_sources();
  void check_model();
  bool cuts_from_model() const;
  void cut_from_model();
  void cut_next_expert();
  bool store_cut(const Digest& digest, ByteSpan grain);
  void refuse_model(const std::string& reason);
  void report_sources(bool at_once);
  void tell_sources();
  SourceBytes source_bytes() const;

  // Work: pool_work.cpp.
  struct Request {
    Compute request;
    ByteVector frame;
  };
  enum class JobState { kNone, kBegun, kDone };

  void on_compute(Compute request, ByteVector frame);
  bool queue_is_full(uint64_t bytes) const;
  bool begin_next();
  void refuse_job(Partial refused);
  void answer(const WorkId& work, Partial partial, ByteVector sums);
  void drop_work();
  std::optional<Partial> why_not(const Compute& request, uint64_t frame_bytes);
  Partial after_failure(const Compute& request, const UnitCompute::Failure& failure);
  std::unique_ptr<BlockReader> open_reader();
  void expect(std::span<const UnitId> units);

  void send(Message message, Channel channel = Channel::kCompute, ByteVector tensor = {});
  void notice(std::string text);
  // Ends the session with a last notice; `tell` lets the coordinator know.
  void end(const std::string& reason, bool tell, bool orderly = false);
  bool of_this_epoch(uint64_t epoch);
  TimePoint now() const { return context_.clock.now(); }
  // Manifest and grains from the coordinator share one link.
  PartWindow& coordinator_window() { return fetcher_.window(kCoordinatorSource); }

  PoolAddress address_;
  WorkerContext& context_;
  Phase phase_ = Phase::kJoining;
  bool ended_ = false;
  PeerClock peer_clock_;

  TimePoint retry_at_{0};      // kJoining, kGreeting: when to ask again
  TimePoint asking_since_{0};  // kJoining, kGreeting
  TimePoint reconnect_at_{0};  // kGreeting
  TimePoint tell_at_{0};       // when to repeat that the coordinator is silent
  Duration tell_interval_{0};
  std::string refused_join_;        // why the invitation was refused, if it was
  uint32_t protocol_refusals_ = 0;  // in a row
  uint64_t heartbeats_ = 0;

  std::optional<Welcome> welcome_;              // the last one: epoch, name of the manifest
  std::optional<BulkAssembly> manifest_parts_;  // of the manifest that is being fetched
  Digest manifest_parts_of_;
  Signature manifest_signature_{};
  uint32_t manifest_failures_ = 0;
  std::optional<TimePoint> manifest_pause_;  // after a failure: when to ask again

  std::unique_ptr<Manifest> manifest_;
  std::optional<Assignment> early_;  // came before the manifest
  uint64_t version_ = 0;             // of the assignment in units_; 0: none
  bool any_version_ = true;          // the coordinator may count from the start again
  UnitTable units_;
  GrainFetcher fetcher_;
  uint32_t fetch_notices_ = 0;                 // of this assignment
  bool full_ = false;                          // nothing is fetched: it could not be stored
  uint64_t room_bytes_ = Residency::kAnyRoom;  // as the coordinator is told
  bool room_changed_ = false;                  // and does not know yet
  Duration room_pause_{0};
  TimePoint look_for_room_at_{0};             // while room_limited()
  std::optional<TimePoint> report_again_at_;  // what was called missing for want of memory
  TimePoint reported_at_{0};

  std::deque<Request> waiting_;
  uint64_t waiting_bytes_ = 0;  // of the frames
  UnitJob job_;
  JobState job_state_ = JobState::kNone;
  bool job_expected_ = false;  // its forecast was handed on
  TimePoint asked_at_ = TimePoint::min();

  uint64_t cache_bytes_ = 0;
  uint64_t window_bytes_ = 0;
  std::unique_ptr<StoredSource> source_;  // made at the first use
  std::vector<GrainId> guesses_;

  Roster roster_;            // the last one
  bool uses_model_ = false;  // --model fits the manifest, so far
  struct CutExpert {
    ByteVector bytes;  // all its grains; empty: none is being stored
    GrainId next;
    uint64_t offset = 0;
  };
  CutExpert cut_;
  uint64_t file_bytes_ = 0;
  bool told_sources_ = true;  // nothing came since people were told
  bool sources_changed_ = false;
  TimePoint sources_reported_at_{0};
  uint64_t bytes_fetched_ = 0;
  uint64_t rows_computed_ = 0;
  uint64_t units_computed_ = 0;
};

}  // namespace potluck
