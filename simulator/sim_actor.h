// SimActor: another party on the simulated network: a member, a stranger or a coordinator that says
// what it likes. SimPool wakes it and hands it what is sent to it. One thread.
#pragma once

#include "simulator/sim_network.h"

namespace potluck::sim {

class SimActor {
 public:
  virtual ~SimActor() = default;

  virtual const PeerKey& key() const = 0;
  // Whether what is sent to this key is for it: an actor may play many parts.
  virtual bool is(const PeerKey& other) const { return other == key(); }
  // When it wants act() to be called; max() for never.
  virtual TimePoint next_act() const = 0;
  virtual void act() = 0;
  // Something was delivered to its key.
  virtual void hear(const NetworkMessage& sent) = 0;
};

}  // namespace potluck::sim
