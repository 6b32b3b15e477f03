// MessageGenerator: random messages of every kind, well-formed as far as the codec can tell. Their
// fields are drawn from what is valid at this moment (it hears what its owner is told), from what
// is nearly so, and from the ends of each range. What it says about results of work is never both
// wrong and right in form: a member that computes falsely on purpose is beyond what a checksum can
// tell. One thread.
#pragma once

#include <array>
#include <deque>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/random.h"
#include "engine/experts/grain_cutter.h"
#include "protocol/message.h"

namespace potluck::sim {

inline constexpr size_t kMessageKinds = std::variant_size_v<Message>;

struct Said {
  Message message;
  ByteVector tensor;
};

class MessageGenerator {
 public:
  // References must outlive the object. `manifests`: what a coordinator may announce.
  MessageGenerator(uint64_t seed, const Manifest& manifest, const GrainCutter& cutter,
                   std::span<const SignedManifest> manifests);

  // What the owner of this generator was told, or overheard.
  void hear(const Message& message);
  // Values from elsewhere that are worth trying.
  void learn_key(const PeerKey& key) { keys_.push_back(key); }
  void learn_secret(const InvitationSecret& secret) { secrets_.push_back(secret); }
  void learn_self_test(const Digest& digest) { self_test_ = digest; }
  // As a coordinator of its own: its epoch.
  void set_epoch(uint64_t epoch) { epoch_ = epoch; }

  uint64_t pick(uint64_t below) { return random_.bits(position_++) % below; }
  bool one_in(uint64_t count) { return pick(count) == 0; }

  // A message of this kind (its index in Message).
  Said make(size_t kind);
  // The answer to something that was asked lately, true as far as this device can know it, or
  // spoiled a little; any heartbeat if nothing was.
  Said answer();

 private:
  // Near what is valid, or at the ends of the range.
  uint64_t near(uint64_t valid);
  uint32_t near32(uint64_t valid, uint32_t most);
  uint64_t epoch() { return one_in(8) ? near(epoch_) : epoch_; }
  std::string text();
  std::string endpoint();
  Digest digest();
  PeerKey key();
  GrainId grain();
  UnitId unit();
  std::vector<UnitId> units();
  std::vector<UnitId> all_units(uint32_t slices) const;
  WorkId work();
  const SignedManifest& manifest();

  Message hello();
  Message welcome();
  Message assignment();
  Message roster();
  Message residency();
  Message source_report();
  Said compute();
  Said partial();
  Said bulk(const Digest& digest, ByteSpan whole, const Signature& signature);
  Said grain_data(const FetchGrain& fetch);
  Said any_bulk();

  CounterRandom random_;
  uint64_t position_ = 0;
  const Manifest& manifest_;
  const GrainCutter& cutter_;
  std::span<const SignedManifest> manifests_;

  uint64_t epoch_ = 0;
  uint64_t version_ = 0;
  uint64_t roster_version_ = 0;
  uint64_t last_beat_ = 0;
  uint32_t slices_ = 1;
  uint64_t next_request_ = 1;
  Digest self_test_;
  std::vector<UnitId> assigned_;
  std::vector<PeerKey> keys_;
  std::vector<InvitationSecret> secrets_;
  std::deque<Compute> asked_;
  std::deque<FetchGrain> fetches_;
  std::deque<Digest> manifest_fetches_;
};

}  // namespace potluck::sim
