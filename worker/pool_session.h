// PoolSession: one membership of the worker: joins a coordinator, gets the manifest, holds units
// and answers for them. A state machine behind WorkerCore, which owns one per coordinator. Messages
// and ticks in, actions out (appended to the list in the context). One thread.
//
//   kJoining --JoinAccept--> kGreeting --Welcome--> kFetchingManifest --manifest--> kMember
//                               ^                                                     |
//                               +-- silence, another epoch: what is held stays held --+
#pragma once

#include <array>
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
  Digest self_test;
  GrainStore& store;
  ManifestStore* manifests;  // or null
  const Clock& clock;
  UnitCompute compute;
  std::vector<WorkerAction> actions;
  // Removes grains that no pool needs until `bytes` fit into the store; false if they cannot.
  std::function<bool(uint64_t bytes)> make_room;
  GrainServer server;
  bool peers_changed = false;  // a session wants other connections, or admits others
};

class PoolSession {
 public:
  // The coordinator learns so often where grains came from, while they come.
  static constexpr Duration kSourcesInterval = std::chrono::seconds(1);

  PoolSession(const PoolAddress& address, WorkerContext& context);

  void start();
  void on_message(Channel channel, Message& message, ByteVector& tensor);
  void on_unreachable();
  void on_connected(Channel channel);
  void on_refused(Channel channel);
  void on_tick();
  // The scrub dropped a grain.
  void on_grain_rotten(const Digest& digest, const std::string& finding);
  void leave(const std::string& reason);  // says goodbye
  // Other workers of the pool; any other key is passed over.
  void on_peer_data(const PeerKey& peer, const BulkData& data, ByteSpan part);
  void on_peer_connected(const PeerKey& peer);
  void on_peer_refused(const PeerKey& peer);
  void on_peer_lost(const PeerKey& peer);  // or it cannot be sent to
  bool has_peer(const PeerKey& peer) const;
  // Adds whom to be connected to, and who may fetch from us.
  void collect_peers(std::map<PeerKey, std::string>* connections,
                     std::set<PeerKey>* admitted) const;
  // We did not listen for a while (computing): silence until now proves nothing.
  void excuse_silence();
  TimePoint next_tick() const;

  // Refused, left or told to go: to be removed. Its last actions are in the list.
  bool ended() const { return ended_; }
  MembershipStatus status() const;

  const Manifest* manifest() const { return manifest_.get(); }
  const UnitTable& units() const { return units_; }
  // This session's share of the memory for grains, and of the window for grains under way. A new
  // share empties the cache.
  void set_shares(uint64_t cache_bytes, uint64_t window_bytes);
  uint64_t resident_bytes() const;
  // Ends the session: not a single grain fits into its share of --ram.
  void refuse_memory(uint64_t cache_bytes);

 private:
  enum class Phase { kJoining, kGreeting, kFetchingManifest, kMember };

  // Joining and greeting: pool_greeting.cpp.
  void send_join_request();
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

  // The manifest, grains and units: pool_delivery.cpp.
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
  void apply(const Assignment& assignment);
  void on_bulk_data(SourceId from, const BulkData& data, ByteSpan part);
  void store_grain(SourceId from, const Digest& digest, ByteSpan bytes, bool mixed);
  void grain_failed(const Digest& digest, const std::string& reason);
  void stop_fetching(const std::string& reason);
  std::vector<UnitId> fetch_again(GrainId grain);
  void request_grains();
  void request_bulk_again();
  void report_residency();

  // Other workers, the model file of this device, and the account of both: pool_sources.cpp.
  void on_roster(const Roster& roster);
  void resolve_holders(Assignment* assignment) const;
  void set_holders(const Assignment& assignment);
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
  void on_compute(const Compute& request, ByteSpan frame);
  Partial compute(const Compute& request, ByteSpan frame, ByteVector* sums);
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
  PartWindow& coordinator_window() { return fetcher_.sources().at(kCoordinatorSource).window; }

  PoolAddress address_;
  WorkerContext& context_;
  Phase phase_ = Phase::kJoining;
  bool ended_ = false;
  PeerClock peer_clock_;

  TimePoint retry_at_{0};           // kJoining, kGreeting: when to ask again
  TimePoint asking_since_{0};       // kJoining, kGreeting
  TimePoint reconnect_at_{0};       // kGreeting
  bool told_waiting_ = false;       // that nobody answers
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
  uint32_t fetch_notices_ = 0;  // of this assignment
  TimePoint reported_at_{0};

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
