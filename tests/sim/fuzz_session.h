// FuzzSession: one seed of the session fuzzer: a pool of honest workers that generates, while
// members, strangers and other coordinators say anything at any time to the real loops. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "simulator/sim_pool.h"

#include "tests/sim/message_outcomes.h"
#include "tests/sim/puppet.h"

namespace potluck::sim {

// What all sessions share. Made once.
struct FuzzWorld {
  explicit FuzzWorld(const std::string& model_path);

  SimModel model;
  SeededEntropy entropy{1};
  SigningKey signing;  // of all other coordinators
  std::vector<ManifestOffer> offers;
  HonestAnswers answers;
  std::map<uint32_t, Generated> solo;  // by the number of tokens

  GenerateOptions task(uint32_t tokens) const { return {model.prompt(5), tokens, 512}; }
  // What a solo run says; computed once.
  const Generated& expected(uint32_t tokens);
};

// Over all sessions.
struct FuzzTotals {
  uint64_t sessions = 0;
  uint64_t messages = 0;
  MessageOutcomes outcomes;
  uint64_t most_memory = 0;
  uint64_t most_control_bytes = 0;  // to one peer in a second
  uint64_t most_in_turn = 0;        // messages of a loop

  std::string text() const;
};

class FuzzSession {
 public:
  // `world` must outlive the object.
  FuzzSession(FuzzWorld& world, uint64_t seed);

  // Empty, or what went wrong.
  std::string run(FuzzTotals* totals);
  // As run(), and then so many rounds with the same puppets, after each of which memory is
  // compared: what messages took is to be given back.
  std::string run_rounds(uint32_t rounds, uint64_t messages, FuzzTotals* totals);
  // The end of it.
  std::string log() const;

 private:
  uint64_t pick(uint64_t below) { return random_.bits(position_++) % below; }
  SimPoolOptions pool_options();
  std::string begin();
  std::string finish(std::string failure, FuzzTotals* totals);

  void add_puppets();
  void add_puppet(PuppetOptions options);
  void add_coordinator();
  MessageGenerator generator();
  PeerKey next_key() const;
  std::string hear_out();
  std::string expect_rest();
  std::string honest_worker_left() const;
  std::string generate(uint32_t tokens);
  std::string generate_while_they_speak();

  bool until(const std::function<bool()>& condition, Duration limit);
  bool silent() const;
  uint64_t messages() const;
  void look_at_memory();

  FuzzWorld& world_;
  CounterRandom random_;
  uint64_t position_ = 0;
  uint64_t seed_;
  MemoryCheck memory_;
  MessageOutcomes outcomes_;
  std::vector<PeerKey> speakers_;  // those with no honest program behind them
  SimPool pool_;
  size_t honest_ = 0;     // workers, the first ones
  size_t parasites_ = 0;  // workers behind them, whose keys puppets use as well
  std::vector<Puppet*> puppets_;
  uint64_t looks_ = 0;
};

}  // namespace potluck::sim
