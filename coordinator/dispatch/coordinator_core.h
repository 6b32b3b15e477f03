// CoordinatorCore: membership, delivery and dispatch behind one door: frames and ticks in, frames
// and local work out. The simulator and the real program run this same object; sockets, threads and
// the clock are outside. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/cluster/membership.h"
#include "coordinator/cluster/pairing_desk.h"
#include "coordinator/delivery/delivery.h"
#include "coordinator/dispatch/dispatcher.h"

namespace potluck {

// How often a worker that owes an answer is probed: sending to a peer that has vanished fails, and
// its work is then given to others at once instead of after its deadline.
inline constexpr Duration kProbeInterval = std::chrono::milliseconds(50);

struct CoordinatorCoreOptions {
  MembershipOptions membership;
  // Of this coordinator, for devices that join without an invitation.
  PeerKey key{};
  std::string name{};
  Entropy* entropy = nullptr;               // must outlive the core; null: such devices are refused
  uint64_t serve_rate = kDefaultServeRate;  // bytes per second of delivered grains
  DispatchOptions dispatch;
  // Where the coordinator has grains to deliver from; must outlive the core. Null: the model file.
  GrainSource* grains = nullptr;
};

// Frames that no honest peer of this version sends.
struct IntakeStatistics {
  uint64_t undecodable = 0;
  uint64_t refused = 0;  // a verb out of place, or a peer that may not send it
};

class CoordinatorCore {
 public:
  // References must outlive the object.
  CoordinatorCore(const CoordinatorCoreOptions& options, const SignedManifest& signed_manifest,
                  const Manifest& manifest, const GrainCutter& cutter, AllowList& allow_list,
                  InvitationBook& invitations, const Clock& clock);

  // A frame that does not decode is counted, noticed and dropped.
  void on_frames(const Envelope& envelope);
  void on_unreachable(const PeerKey& peer, const std::string& reason);
  // A message on the bulk channel that take_outgoing() gave could not be sent: the peer is gone, or
  // its queue is full.
  void on_bulk_not_sent(const OutgoingMessage& message, bool gone) {
    delivery_.not_sent(message, gone);
  }
  // Hand in the frames that have arrived before calling this: silence and lateness are judged here.
  void on_tick();
  // We did not listen for a while: the silence of peers until now proves nothing.
  void excuse_silence() {
    membership_.excuse_silence();
    dispatcher_.excuse_silence();
  }
  // Dispatcher::check_done(), and what follows for the worker that was checked.
  std::optional<uint64_t> check_done(uint64_t check, bool computed);
  // Lets all workers out of quarantine, at their owner's word; returns how many.
  size_t release_quarantined() { return membership_.release_quarantined(); }

  // The manifest, and its signed form, have more experts than before.
  void manifest_grew();
  // Membership::assign_missing_again().
  void assign_missing_again() { membership_.assign_missing_again(); }

  // Messages to send now, in order. At most `bulk_limit` bulk parts among them, and only one while
  // work is under way.
  std::vector<OutgoingMessage> take_outgoing(size_t bulk_limit);
  TimePoint next_tick() const;
  bool bulk_idle() const { return delivery_.idle(); }
  // When there is bulk to send; nothing while no request for it is waiting.
  std::optional<TimePoint> next_bulk() const { return delivery_.next_part(); }

  Dispatcher& dispatcher() { return dispatcher_; }
  const Dispatcher& dispatcher() const { return dispatcher_; }
  const ClusterState& cluster() const { return membership_.state(); }
  const ShareKeeper& shares() const { return membership_.shares(); }
  const PoolLearning& learned() const { return learned_; }
  Liveness liveness(const PeerKey& peer) const { return membership_.liveness(peer); }
  uint64_t bytes_delivered() const { return delivery_.bytes_delivered(); }
  const IntakeStatistics& intake() const { return intake_; }

  // Devices that wait to be admitted, and the admission of the one that shows this code; kNotFound
  // if none does.
  std::vector<WaitingDevice> waiting_devices() const;
  Result<WaitingDevice> admit_waiting(const std::string& code);
  // Turns it away instead: it is told so, and ends. It may ask again.
  Result<WaitingDevice> refuse_waiting(const std::string& code);
  // Before a key is taken off the allow list.
  void revoke(const PeerKey& key);
  std::vector<LogEvent> take_notices();

 private:
  void route(const Envelope& envelope, const Message& message);
  void on_compute(const PeerKey& from, const Message& message, ByteSpan tensor);
  void on_join(const Envelope& envelope, const Message& message);
  void on_pairing(const Envelope& envelope, const Message& message);
  void refuse(const PeerKey& from, Channel channel, const Message& message);
  // Carries what one part has learnt to the others.
  void settle();
  TimePoint next_probe(const PeerKey& worker) const;

  const Clock& clock_;
  PoolLearning learned_;
  Membership membership_;
  Delivery delivery_;
  Dispatcher dispatcher_;
  const AllowList& allow_list_;
  std::optional<PairingDesk> pairing_;
  std::map<PeerKey, TimePoint> probed_at_;
  IntakeStatistics intake_;
  Notices notices_{"pool"};
};

}  // namespace potluck
