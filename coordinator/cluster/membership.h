// Membership: admits workers, keeps track of their lives, tells them what to hold. A state machine:
// message or tick in, messages out. Knows nothing of tokens or batches. One thread.
#pragma once

#include <optional>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/cluster/placement.h"
#include "engine/base/clock.h"
#include "protocol/allow_list.h"
#include "protocol/invitation.h"
#include "protocol/liveness.h"
#include "protocol/message.h"
#include "protocol/transport.h"

namespace potluck {

struct Outgoing {
  PeerKey peer;
  Channel channel = Channel::kCompute;
  Message message;
  ByteVector tensor;
};

struct MembershipOptions {
  uint64_t epoch = 1;
  uint32_t slices = 1;
  Digest self_test;              // of this coordinator's kernels; a worker must report the same
  std::string compute_endpoint;  // what JoinAccept says
  std::string bulk_endpoint;
  uint32_t max_workers = 0;
};

class Membership {
 public:
  // References must outlive the object. `allow_list` and `invitations` are changed by joins.
  Membership(MembershipOptions options, const Manifest& manifest, AllowList& allow_list,
             InvitationBook& invitations, const Clock& clock);

  // Hello, Residency, Heartbeat, Goodbye, JoinRequest; anything else is refused. Returns false if
  // the message was not for us (not one of these).
  bool on_message(const PeerKey& from, Channel channel, const Message& message);
  // Any message at all came from this peer.
  void heard_from(const PeerKey& peer);
  // Sending failed, or the peer is known to be gone.
  void on_unreachable(const PeerKey& peer, const std::string& reason);
  // A worker reported a unit as missing while computing.
  void on_units_lost(const PeerKey& peer, const std::vector<UnitId>& units);
  void on_tick();

  const ClusterState& state() const { return state_; }
  Liveness liveness(const PeerKey& peer) const;
  std::vector<Outgoing> take_outgoing();
  // What people should read: admissions, refusals, losses.
  std::vector<std::string> take_notices();

 private:
  void admit(const PeerKey& from, const Hello& hello);
  void accept_join(const PeerKey& from, const JoinRequest& request);
  void update_residency(const PeerKey& from, const Residency& residency);
  void refuse(const PeerKey& peer, Channel channel, RefusalReason reason, std::string message);
  void lose(const PeerKey& peer, const std::string& reason);
  void rebalance();

  MembershipOptions options_;
  const Manifest& manifest_;
  Digest manifest_digest_;
  uint64_t manifest_bytes_;
  AllowList& allow_list_;
  InvitationBook& invitations_;
  const Clock& clock_;
  ClusterState state_;
  std::map<PeerKey, PeerClock> clocks_;
  uint32_t next_number_ = 1;
  uint64_t heartbeat_sequence_ = 0;
  std::vector<Outgoing> outgoing_;
  std::vector<std::string> notices_;
};

}  // namespace potluck
