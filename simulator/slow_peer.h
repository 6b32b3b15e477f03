// SlowPeer: a member of the pool with nothing behind it that takes what it can get: it says that it
// is ready for everything and answers no work, reads the manifest byte by byte, and greets again
// and again. One thread.
#pragma once

#include "simulator/sim_actor.h"
#include "simulator/sim_model.h"

namespace potluck::sim {

class SlowPeer final : public SimActor {
 public:
  // References must outlive the object. The pool must have its key on its list.
  SlowPeer(const PeerKey& key, const PeerKey& coordinator, const PoolModel& model,
           const ManualClock& clock, SimNetwork& network);

  const PeerKey& key() const override { return key_; }
  TimePoint next_act() const override { return next_act_; }
  void act() override;
  void hear(const NetworkMessage& sent) override;
  // It goes for good.
  void end();

 private:
  void send(Channel channel, const Message& message);

  PeerKey key_;
  PeerKey coordinator_;
  std::vector<KernelDigest> kernels_;
  const ManualClock& clock_;
  SimNetwork& network_;
  TimePoint next_act_;
  uint64_t epoch_ = 0;
  Digest manifest_;
  uint64_t offset_ = 0;
  uint64_t acts_ = 0;
};

}  // namespace potluck::sim
