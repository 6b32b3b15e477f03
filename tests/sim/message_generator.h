// MessageGenerator: random messages of every kind, well-formed as far as the codec can tell. Their
// fields are drawn from what is valid at this moment (it hears what its owner is told), from what
// is nearly so, and from the ends of each range. What it says about results of work is either true
// or malformed: a member that computes falsely on purpose is beyond what a checksum can tell. One
// thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "simulator/honest_answers.h"

#include "engine/base/random.h"
#include "engine/experts/grain_cutter.h"
#include "protocol/codec.h"
#include "tests/sim/manifest_offers.h"
#include "tests/sim/message_kinds.h"

namespace potluck::sim {

class MessageGenerator {
 public:
  // References must outlive the object. `offers`: what a coordinator may announce, the real model
  // first.
  MessageGenerator(uint64_t seed, const GrainCutter& cutter, std::span<const ManifestOffer> offers,
                   HonestAnswers& answers);

  // What the owner of this generator was told, or overheard.
  void hear(const Frames& frames);
  // Gives back what it remembers of what it heard.
  void forget();
  // Values from elsewhere that are worth trying.
  void learn_key(const PeerKey& key) { keys_.push_back(key); }
  void learn_secret(const InvitationSecret& secret) { secrets_.push_back(secret); }
  void learn_self_test(std::vector<KernelDigest> kernels) { self_test_ = std::move(kernels); }
  // Who the owner of this generator is, and at whose join channel it knocks.
  void learn_pair(const PeerKey& own, const PeerKey& coordinator) { pair_ = {own, coordinator}; }
  // One field in so many is wrong, and one answer in so many is spoiled.
  void set_care(uint64_t care) { care_ = care; }
  // As a coordinator of its own: its epoch.
  void set_epoch(uint64_t epoch) { epoch_ = epoch; }

  uint64_t pick(uint64_t below) { return random_.bits(position_++) % below; }
  bool one_in(uint64_t count) { return pick(count) == 0; }

  // A message of this kind (message_kinds.h).
  Said make(size_t kind);
  // The answer to something that was asked lately; a heartbeat if nothing was.
  Said answer();
  // The answer to this; nothing if it asks for none.
  std::optional<Said> answer_to(const Frames& frames);
  // That all units which are assigned are ready.
  Said all_ready();

 private:
  bool wrong() { return one_in(care_); }
  // Near what is valid, or at the ends of the range.
  uint64_t near(uint64_t valid);
  uint32_t near32(uint64_t valid, uint32_t most);
  uint64_t epoch() { return wrong() ? near(epoch_) : epoch_; }
  std::string text();
  std::string endpoint();
  Digest digest();
  PeerKey key();
  GrainId grain();
  UnitId unit();
  std::vector<UnitId> units();
  std::vector<UnitId> all_units(uint32_t slices) const;
  WorkId work();
  // What the units, grains and shapes that are named are about: the model that was announced.
  const Manifest& manifest() const { return offers_[announced_].manifest; }
  const ManifestLayer& layer();
  const ManifestOffer& offer();

  void spoil_self_test(std::vector<KernelDigest>* kernels);
  Message hello();
  Message welcome();
  Message assignment();
  Message roster();
  Message residency();
  Message source_report();
  Message health_report();
  Message device_speed();
  Message join_request();
  Message join_accept();
  PairNonce pair_nonce();
  Compute valid_compute(const ManifestLayer& of);
  void spoil(Compute* request, ByteVector* tensor);
  Said compute();
  Said partial();
  Said refused_partial();
  Said true_partial(const Compute& request, ByteSpan tensor);
  Said fetch_grain();
  Said bulk(const Digest& digest, ByteSpan whole, const Signature& signature);
  Said grain_data(const FetchGrain& fetch);
  Said manifest_part(const ManifestOffer& sent);
  Said any_bulk();

  CounterRandom random_;
  uint64_t position_ = 0;
  const GrainCutter& cutter_;
  std::span<const ManifestOffer> offers_;
  HonestAnswers& answers_;

  uint64_t care_ = 8;
  size_t announced_ = 0;  // of the offers
  uint64_t epoch_ = 0;
  uint64_t version_ = 0;
  uint64_t roster_version_ = 0;
  uint64_t last_beat_ = 0;
  uint32_t slices_ = 1;
  uint64_t next_request_ = 1;
  std::vector<KernelDigest> self_test_;
  std::vector<UnitId> assigned_;
  std::vector<PeerKey> keys_;
  std::vector<InvitationSecret> secrets_;
  PairKeys pair_;
  struct Asked {
    Compute request;
    ByteVector tensor;
  };
  std::deque<Asked> asked_;  // the last ones
  std::deque<FetchGrain> fetches_;
  std::map<Digest, uint64_t> manifest_fetches_;  // and how much of it was sent
};

}  // namespace potluck::sim
