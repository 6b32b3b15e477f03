// CoordinatorCore: membership, delivery and dispatch behind one door: frames and ticks in, frames
// and local work out. The simulator and the real program run this same object; sockets, threads and
// the clock are outside. One thread.
#pragma once

#include <memory>

#include "coordinator/cluster/delivery.h"
#include "coordinator/cluster/membership.h"
#include "coordinator/dispatch/dispatcher.h"

namespace potluck {

struct CoordinatorCoreOptions {
  MembershipOptions membership;
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
  void on_tick();

  // Messages to send now, in order. At most `bulk_limit` bulk parts among them.
  std::vector<Outgoing> take_outgoing(size_t bulk_limit);
  TimePoint next_tick() const;
  bool bulk_idle() const { return delivery_.idle(); }

  Dispatcher& dispatcher() { return dispatcher_; }
  const ClusterState& cluster() const { return membership_.state(); }
  uint64_t bytes_delivered() const { return delivery_.bytes_delivered(); }
  std::vector<std::string> take_notices();

 private:
  const Clock& clock_;
  Membership membership_;
  Delivery delivery_;
  Dispatcher dispatcher_;
  std::vector<std::string> notices_;
};

}  // namespace potluck
