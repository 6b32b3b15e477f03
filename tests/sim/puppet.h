// Puppet: an actor that sends random messages, in bursts, until it has said enough. Four roles: a
// member of the pool (its key is allowed) with no honest program behind it; a parasite, which
// speaks with the key of a worker that runs as well; a stranger at the join channel; the
// coordinator of another pool. One thread.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "tests/sim/message_generator.h"
#include "tests/sim/sim_actor.h"

namespace potluck::sim {

enum class PuppetRole { kMember, kParasite, kStranger, kCoordinator };

using KindCounts = std::array<uint64_t, kMessageKinds>;

struct PuppetOptions {
  PuppetRole role = PuppetRole::kMember;
  PeerKey key;
  PeerKey coordinator;            // of the pool; not for a coordinator
  std::vector<PeerKey> workers;   // to whom it speaks directly
  uint64_t messages = 500;        // in all
  std::function<void()> between;  // called now and then, between two bursts
};

class Puppet final : public SimActor {
 public:
  // References must outlive the object. `counts` is added to.
  Puppet(PuppetOptions options, MessageGenerator generator, const ManualClock& clock,
         SimNetwork& network, KindCounts* counts);

  const PeerKey& key() const override { return options_.key; }
  TimePoint next_act() const override { return next_act_; }
  void act() override;
  void hear(const Delivery& delivery) override;
  bool done() const { return next_act_ == TimePoint::max(); }

 private:
  void say();
  void say_to_pool();
  void say_to_worker();
  void say_as_coordinator();
  Said any(std::span<const size_t> usual);
  void send(const PeerKey& to, Channel channel, Said said);
  void end();

  PuppetOptions options_;
  MessageGenerator generator_;
  const ManualClock& clock_;
  SimNetwork& network_;
  KindCounts* counts_;
  TimePoint next_act_;
};

}  // namespace potluck::sim
