// Membership: admits workers, keeps track of their lives, tells them what to hold. A state machine:
// message or tick in, messages out. Knows nothing of tokens or batches. What is said to one peer
// several times before it is sent is said once. One thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/cluster/control_outbox.h"
#include "coordinator/cluster/notices.h"
#include "coordinator/cluster/placement.h"
#include "coordinator/cluster/quarantine_list.h"
#include "coordinator/cluster/share_keeper.h"
#include "coordinator/cluster/stalled_deliveries.h"
#include "coordinator/cluster/unit_moves.h"
#include "engine/base/clock.h"
#include "protocol/allow_list.h"
#include "protocol/invitation.h"
#include "protocol/liveness.h"
#include "protocol/message.h"
#include "protocol/transport.h"

namespace potluck {

// A worker's greeting is answered at once, the next one after so long, and twice as long each time
// while greetings keep coming. What repeats the greeting that was answered last is taken as
// answered: a worker that hears nothing greets again every second.
inline constexpr Duration kGreetingPause = std::chrono::milliseconds(500);
inline constexpr Duration kLongestGreetingPause = std::chrono::seconds(8);
inline constexpr Duration kGreetingsForgotten = std::chrono::seconds(30);

// Of a name that a device gives itself, as much as is shown.
inline constexpr size_t kShownNameBytes = 64;
// Of a reason that it gives.
inline constexpr size_t kReasonBytes = 256;

struct MembershipOptions {
  uint64_t epoch = 1;  // not 0, which no life of a coordinator has
  uint32_t slices = 1;
  // Of this coordinator's kernels. A worker must report the same for the parts that the manifest
  // uses; it may have others, and lack others.
  std::vector<KernelDigest> kernels{};
  std::string compute_endpoint{};  // what JoinAccept says
  std::string bulk_endpoint{};
  SigningPublicKey signing_key{};  // of the manifest
  // Units are placed once so many workers are there: the same workers then hold the same units in
  // every run, in whatever order they came, and find them in their stores.
  uint32_t founding_workers = 0;
  // Or once the first of them has waited so long for the others; zero: they are waited for without
  // end.
  Duration founding_patience{0};
  uint32_t max_workers = 0;  // 0: as many as limits.h allows
  // Devices that get no work. Must outlive the object; null: those of this life alone.
  QuarantineList* quarantine = nullptr;
  uint32_t replicas = 1;  // holders of each unit, as far as there is room
  uint32_t top_k = 8;     // experts that a token uses in a layer
  // What dispatch learns; must outlive the membership. Null: nothing.
  const PoolLearning* learned = nullptr;
  // What the manifest will be once it is complete, its digests aside; must outlive the membership.
  // Null: it is complete.
  const Manifest* outline = nullptr;
  // The coordinator as a device that holds experts in its memory, if it is one.
  std::optional<DeviceFacts> own{};
  Prefer prefer = Prefer::kSpeed;  // what units are shared out by
};

// Units that have moved are taken from their old holders so often at most: each time is an
// assignment, which is large.
inline constexpr Duration kReleaseInterval = std::chrono::seconds(2);

class Membership {
 public:
  // References must outlive the object. `allow_list` and `invitations` are changed by joins.
  Membership(MembershipOptions options, const Manifest& manifest, AllowList& allow_list,
             InvitationBook& invitations, const Clock& clock);

  // Hello, Residency, SourceReport, HealthReport, DeviceSpeed, Heartbeat, Goodbye on the compute
  // channel, JoinRequest on the join channel; one of these elsewhere is refused. Returns false if
  // the message was not for us.
  bool on_message(const PeerKey& from, Channel channel, const Message& message);
  // Any message at all came from this peer. A key that we allow but do not count as a member gets a
  // heartbeat of epoch 0, so that it says Hello again: we were restarted, or had given it up.
  void heard_from(const PeerKey& peer);
  // Another component sent it a message: no heartbeat is needed soon.
  void sent_to(const PeerKey& peer);
  // Sending failed, or the peer is known to be gone.
  void on_unreachable(const PeerKey& peer, const std::string& reason);
  // A worker reported a unit as missing while computing.
  void on_units_lost(const PeerKey& peer, const std::vector<UnitId>& units);
  // This worker answered wrongly: it gets no work until its time is over or its owner lets it out.
  void quarantine(const PeerKey& peer, const std::string& reason);
  // All of them, at their owner's word; returns how many.
  size_t release_quarantined();
  // Sends a beat at once: the transport says if the peer has vanished.
  void probe(const PeerKey& peer);
  // The manifest has more experts than before: members are welcomed to it, and get units of it.
  void manifest_grew();
  // Tells workers that lack units once more what they shall hold, and who has it by now.
  void assign_missing_again();
  // Puts a device that people have admitted on the allow list, and tells it where to connect. Fails
  // if the list cannot be saved.
  Status admit_device(const PeerKey& key, const std::string& name);
  // Tells a device that is on the list already where to connect.
  void accept(const PeerKey& key);
  // The device's key is to be taken off the allow list: it is told so, and is no member any more.
  void revoke(const PeerKey& key);
  // An answer to a stranger.
  void answer_stranger(const PeerKey& key, Message message) {
    send(key, Channel::kJoin, std::move(message));
  }
  // Refuses a message that this peer must not send.
  void refuse(const PeerKey& peer, Channel channel, RefusalReason reason, std::string message);
  // Hand in what has arrived before calling this: silence is judged here.
  void on_tick();
  // We did not listen for a while: the silence of peers until now proves nothing.
  void excuse_silence();
  // When on_tick() may have something to do.
  TimePoint next_tick() const;

  const ClusterState& state() const { return state_; }
  const ShareKeeper& shares() const { return shares_; }
  bool is_member(const PeerKey& peer) const { return state_.worker(peer) != nullptr; }
  // kDead for a peer that is no member.
  Liveness liveness(const PeerKey& peer) const;
  std::vector<OutgoingMessage> take_outgoing();
  // Workers that were lost or have started anew: they will not answer what they were asked.
  std::vector<PeerKey> take_reset_workers();
  // What people should read: admissions, refusals, losses.
  std::vector<LogEvent> take_notices() { return notices_.take(); }

 private:
  struct Loss {
    PeerKey peer;
    std::string reason;
  };
  // By key, also of workers that have left.
  struct Greeting {
    TimePoint answered_at{0};
    Duration pause{0};
    Hello answered;
    std::optional<Hello> held;  // the newest that has to wait
  };

  void on_member_message(const PeerKey& from, const Message& message);
  void admit(const PeerKey& from, const Hello& hello);
  std::optional<Refusal> why_not(const PeerKey& from, const Hello& hello) const;
  std::optional<Refusal> other_kernels(const PeerKey& from, const Hello& hello) const;
  void on_hello(const PeerKey& from, const Hello& hello);
  void answer_held_greetings();
  void forget_held_greeting(const PeerKey& from);
  void remember_greeting(const PeerKey& from, const Hello& hello);
  void forget_greetings();
  void welcome(const PeerKey& from, const Hello& hello);
  void name_manifest();
  Welcome welcome_of(uint32_t number) const;
  void accept_join(const PeerKey& from, const JoinRequest& request);
  void update_residency(const PeerKey& from, const Residency& residency);
  void update_room(const PeerKey& from, const Residency& residency);
  void update_sources(const PeerKey& from, const SourceReport& report);
  void update_health(const PeerKey& from, const HealthReport& report);
  void update_speed(const PeerKey& from, const DeviceSpeed& speed);
  void answer_heartbeat(const PeerKey& from, const Heartbeat& heartbeat);
  void nudge(const PeerKey& peer);
  void lose(const std::vector<Loss>& losses);
  void drain(const PeerKey& peer, const std::string& text);
  // Lets workers go whose units others hold by now.
  void release_drained();
  // Units go where place_units() says; workers whose units change get an Assignment, and so does
  // `greeted` in any case.
  void rebalance(const PeerKey* greeted = nullptr);
  QuarantineList& quarantine_list();
  bool greet_quarantined(const PeerKey& peer);
  void empty_quarantined();
  std::vector<PlacementWorker> placement_workers() const;
  OwnExperts choose_own() const;
  Placement place(std::vector<PlacementWorker> workers) const;
  Placement replicas_of(const Placement& placement,
                        const std::vector<PlacementWorker>& workers) const;
  void release_finished();
  void take_away(const PeerKey& peer, const std::set<UnitId>& units);
  void assign(const PeerKey& peer, std::vector<UnitId> units);
  // Tells every worker who the others are.
  void announce_roster();
  Roster roster_for(const PeerKey& receiver) const;
  Assignment assignment_of(const PeerKey& peer) const;
  std::vector<std::vector<uint16_t>> holders_for(const PeerKey& peer,
                                                 const std::vector<UnitId>& units) const;
  void send(const PeerKey& peer, Channel channel, Message message);
  void send_heartbeat(const PeerKey& peer, bool reply_wanted);
  uint32_t worker_limit() const;
  // When units are placed although some founding workers are missing.
  std::optional<TimePoint> founding_due() const;

  MembershipOptions options_;
  const Manifest& manifest_;
  Digest manifest_digest_;
  uint64_t manifest_bytes_ = 0;
  std::vector<KernelPart> kernel_parts_;  // that the manifest uses
  AllowList& allow_list_;
  InvitationBook& invitations_;
  const Clock& clock_;
  ClusterState state_;
  bool founded_ = false;
  std::optional<TimePoint> first_welcome_;  // of this epoch
  bool room_changed_ = false;               // since units were placed
  TimePoint placed_at_{0};
  ShareKeeper shares_;
  UnitMoves moves_;
  TimePoint released_at_{0};
  std::map<PeerKey, PeerClock> clocks_;     // of members
  std::map<PeerKey, TimePoint> nudged_at_;  // of allowed keys that are no members
  std::map<PeerKey, Greeting> greetings_;   // of allowed keys
  TimePoint last_tick_;
  uint32_t next_number_ = 1;
  uint64_t next_version_ = 1;
  uint64_t roster_version_ = 0;  // of the last roster, the same for all
  QuarantineList own_quarantine_;
  ControlOutbox outbox_;
  StalledDeliveries stalled_;
  std::vector<PeerKey> reset_workers_;
  Notices notices_{"membership"};
};

}  // namespace potluck
