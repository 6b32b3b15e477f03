// Puppet: an actor that sends random messages, in bursts, until it has said enough. Four roles: a
// member of the pool (its key is allowed) with no honest program behind it; a parasite, which
// speaks with the key of a worker that runs as well; a stranger at the join channel; the
// coordinator of another pool. An earnest one mostly plays its part: it greets, it answers what it
// is asked; so that what it says wrongly meets receivers that trust it. One thread.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "simulator/sim_actor.h"

#include "tests/sim/message_generator.h"

namespace potluck::sim {

enum class PuppetRole { kMember, kParasite, kStranger, kCoordinator };

struct PuppetOptions {
  PuppetRole role = PuppetRole::kMember;
  bool earnest = false;
  PeerKey key;
  PeerKey coordinator;                 // of the pool; not for a coordinator
  std::vector<PeerKey> workers = {};   // to whom it speaks directly
  uint64_t messages = 500;             // in all
  std::function<void()> between = {};  // called now and then, between two bursts
};

class Puppet final : public SimActor {
 public:
  // References must outlive the object.
  Puppet(PuppetOptions options, MessageGenerator generator, const ManualClock& clock,
         SimNetwork& network);

  const PeerKey& key() const override { return options_.key; }
  TimePoint next_act() const override { return next_act_; }
  void act() override;
  void hear(const NetworkMessage& sent) override;
  bool done() const { return next_act_ == TimePoint::max(); }
  // So many more messages; it may have ended.
  void go_on(uint64_t messages);
  // Gives back the memory that it took.
  void forget();
  uint64_t sent() const { return sent_; }  // that went out

 private:
  void say();
  bool answer_oldest();
  std::optional<Said> next_in_earnest();
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
  TimePoint next_act_;
  std::optional<size_t> flood_;           // the one kind of this burst
  std::deque<NetworkMessage> questions_;  // the last ones; earnest
  bool greeted_ = false;                  // earnest: it has said Hello, or Welcome
  bool assigned_ = false;                 // and an assignment has come, or gone
  uint64_t sent_ = 0;
};

}  // namespace potluck::sim
