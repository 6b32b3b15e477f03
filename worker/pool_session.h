// PoolSession: one membership of the worker: joins a coordinator, gets the manifest, holds units
// and answers for them. A state machine behind WorkerCore, which owns one per coordinator. Messages
// and ticks in, actions out (appended to the list in the context). It keeps nothing but the
// manifest itself: each concern has a part with its own state, and the session tells every part
// what concerns it, in an order in which none sees what another has not settled yet. One thread.
//
//   Greeting        joining, Hello and Welcome, liveness       speaks through CoordinatorLink, as
//   ManifestFetch   from a Welcome to a verified manifest      all of them do
//   UnitDelivery    assignment, what is kept and ready, reports
//   PoolSources     where grains come from                     takes from and gives to UnitDelivery
//   Answering       requests, cache, answers
//   HealthAccount   how much of its speed the worker lends
//
//   joining --JoinAccept--> greeting --Welcome--> fetching manifest --manifest--> member
//                               ^                                                   |
//                               +- silence, another epoch: what is held stays held -+
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "worker/answering.h"
#include "worker/greeting.h"
#include "worker/health_account.h"
#include "worker/manifest_fetch.h"
#include "worker/pool_sources.h"
#include "worker/worker_context.h"

namespace potluck {

class PoolSession {
 public:
  PoolSession(const PoolAddress& address, WorkerContext& context);

  void start();
  void on_message(Channel channel, Message& message, ByteVector& tensor);
  // Of the coordinator, or of the bulk channel to another worker; any other key is passed over.
  void on_link(const PeerKey& peer, Channel channel, LinkEvent event);
  void on_moved(const std::string& serve_endpoint) { greeting_.on_moved(serve_endpoint); }
  // From another worker of the pool; as above.
  void on_peer_data(const PeerKey& peer, const BulkData& data, ByteSpan part);
  void on_tick();
  TimePoint next_tick() const;
  // The store has lost a grain: what people should read about it, or nothing.
  void on_grain_lost(const Digest& digest, const std::string& finding);
  // The disk with the store cannot be reached: nothing can be computed until it is back.
  void on_store_gone();
  void leave(const std::string& reason);  // says goodbye
  // How much of its speed this worker lends has changed (WorkerContext::health).
  void on_health();
  // What is known of this device's speed has changed: a coordinator of which this is a member
  // learns it.
  void tell_speed();
  // Asks to be relieved of its units first, if it has any that are of use.
  void leave_gently(const std::string& reason);
  // We did not listen for a while (computing): silence until now proves nothing.
  void excuse_silence();
  // We were away: the same, and the coordinator has had no chance to answer us.
  void excuse_absence();
  void on_network_changed() { greeting_.on_network_changed(); }

  // --- work; the owner of the sessions decides whose turn it is ---
  bool has_work() const { return !ended() && answering_.has_work(); }
  // Computes a part of the oldest request, about as much as the budget. Returns what it took.
  Duration work(Duration budget);
  void answer();  // once answering().done()

  // Refused, left or told to go: to be removed. Its last actions are in the list.
  bool ended() const { return link_.ended(); }
  MembershipStatus status() const;

  const PeerKey& coordinator() const { return link_.coordinator(); }
  const Manifest* manifest() const { return manifest_.get(); }
  // What the coordinator has announced; nothing before its Welcome.
  std::optional<Digest> manifest_name() const;
  const UnitTable& units() const { return delivery_.units(); }
  const PoolSources& sources() const { return sources_; }
  const Answering& answering() const { return answering_; }
  // What has changed since the last call, for the worker as a whole.
  struct Changes {
    bool links = false;   // other connections are wanted, or other peers admitted
    bool memory = false;  // more or less is kept than before
  };
  Changes take_changes();

  // This session's share of the memory for grains, and of the window for grains under way. A new
  // share empties the cache.
  void set_shares(uint64_t cache_bytes, uint64_t window_bytes);
  // Memory is short: of its share the cache holds no more than that until told otherwise. What it
  // holds beyond is given back to the system now.
  void set_cache_limit(uint64_t bytes) { answering_.set_cache_limit(bytes); }
  // What this session keeps in memory because its coordinator said so: manifest and assignment.
  uint64_t kept_bytes() const;
  // Ends the session: not a single grain fits into its share of --ram.
  void refuse_memory(uint64_t cache_bytes);
  // Whether what is under way is due, and what is missing is being cared for; to be called between
  // events. For tests: it takes time.
  Status validate() const;

 private:
  bool fetching_manifest() const { return greeting_.welcomed() && manifest_fetch_.wanted(); }
  // The epoch of the membership; none while the session is no member.
  std::optional<uint64_t> member_epoch() const;

  void on_peer_link(const PeerKey& peer, LinkEvent event);
  void ask_bulk_again();
  void on_compute_channel(Message& message, ByteVector& tensor);
  void on_welcome(const Welcome& welcome);
  void begin_manifest();
  void on_bulk_data(const BulkData& data, ByteSpan part);
  void take_manifest(std::unique_ptr<Manifest> manifest);
  void become_member();
  void on_assignment(Assignment assignment);
  void assign(const Assignment& assignment);
  void on_roster(const Roster& roster);

  void tick_sources();
  void request_grains();
  void report();
  void carry_on();

  WorkerContext& context_;
  CoordinatorLink link_;
  std::unique_ptr<Manifest> manifest_;  // the parts below name it
  Greeting greeting_;
  ManifestFetch manifest_fetch_;
  UnitDelivery delivery_;
  PoolSources sources_;
  Answering answering_;
  HealthAccount health_;
  bool memory_changed_ = false;
};

}  // namespace potluck
