// PoolSources: where a pool's grains come from: the coordinator, the other workers of its roster,
// and a model file of this device. It keeps the fetcher supplied with the units that UnitDelivery
// wants fetched, asks for their grains, hands it what has come, and settles what has not: who is
// asked instead, who is never asked again, what is given up for a while. Owned by PoolSession,
// which calls request() and next_tick() only for a member. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "worker/grain_fetcher.h"
#include "worker/model_cuts.h"
#include "worker/source_account.h"
#include "worker/unit_delivery.h"

namespace potluck {

class PoolSources {
 public:
  // `model` may be null. All must outlive the object.
  PoolSources(UnitDelivery& delivery, const ModelCopy* model, CoordinatorLink& link)
      : delivery_(delivery), link_(link), cuts_(model), account_(link) {}

  // --- other workers ---
  void set_roster(const Roster& roster);
  bool has_peer(const PeerKey& peer) const;
  bool is_connecting(const PeerKey& peer) const;
  // Adds whom to be connected to, and who may fetch from us.
  void collect_peers(std::map<PeerKey, std::string>* connections,
                     std::set<PeerKey>* admitted) const;
  // Whether collect_peers() has another answer than at the last call.
  bool take_links_changed();
  // Indices into the roster become sources; those of another roster are of no use.
  void resolve_holders(Assignment* assignment) const;
  // False if it is none of ours.
  bool on_peer_link(const PeerKey& peer, LinkEvent event);

  // --- what is fetched ---
  // The manifest must stay in place until clear().
  void use_manifest(const Manifest& manifest);
  // UnitDelivery has another assignment; what was begun goes on if it is still needed.
  void restart();
  // Another manifest: nothing is wanted any more.
  void clear();
  // What the coordinator was asked for is lost with the connection.
  void ask_again() { fetcher_.ask_again(); }
  // The coordinator may have forgotten what it was told.
  void on_welcome() { account_.tell_again(); }
  // A part of a grain, or that there is none; false if the sender is none of ours.
  bool on_data(const PeerKey& from, const BulkData& data, ByteSpan part);
  // Asks for as much as may be under way.
  void request();

  // `epoch`: that of the membership; none: connections alone are looked after.
  void on_tick(std::optional<uint64_t> epoch);
  std::optional<TimePoint> next_tick() const;
  void excuse_silence() { fetcher_.excuse_silence(link_.now()); }

  // This pool's share of the window for grains under way.
  void set_window(uint64_t bytes) { window_bytes_ = bytes; }
  // Manifest and grains from the coordinator share one link.
  PartWindow& coordinator_window() { return fetcher_.window(kCoordinatorSource); }
  const PartWindow& coordinator_window() const;
  // Its part of the status.
  void describe(MembershipStatus* status) const;
  // Whether what is under way is due, and what is missing is being cared for; to be called between
  // events of a member. For tests: it takes time.
  Status validate() const;

 private:
  std::optional<SourceId> find(const PeerKey& peer) const;
  bool fetching() const;
  void on_part(SourceId from, const BulkData& data, ByteSpan part);
  void on_wrong_range(SourceId from, const BulkData& data, uint64_t bytes);
  void feed_fetcher();
  void send(const FetchOrder& order);
  void store_grain(SourceId from, const Digest& digest, ByteSpan bytes, bool mixed);
  void grain_failed(const Digest& digest, const std::string& reason, bool ours);
  void stop_fetching(const std::string& reason);
  void drop_peer(SourceId id, const std::string& reason);
  bool cuts_due() const;
  void cut_from_model();
  void cut_next_expert();
  bool wants(const ModelCuts::Grain& grain) const;
  bool store_cut(const ModelCuts::Grain& grain);
  void refuse_model(const std::string& reason, const Manifest& manifest);

  UnitDelivery& delivery_;
  CoordinatorLink& link_;
  Roster roster_;  // the last one
  GrainFetcher fetcher_;
  ModelCuts cuts_;
  SourceAccount account_;
  uint64_t window_bytes_ = 0;
  uint32_t fetch_notices_ = 0;  // of this assignment
  bool links_changed_ = false;
};

}  // namespace potluck
