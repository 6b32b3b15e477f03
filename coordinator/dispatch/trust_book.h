// TrustBook: how far each worker's answers are believed, and which of them are compared. After
// BOINC's adaptive replication: until ten answers in a row were found right, every one is compared;
// then one in a tenth as many as were found right, and one in a hundred at the least. (BOINC's is
// one in as many: but a message is a layer of a token, not hours of work, and one that lies in one
// of a hundred would have answered for 50 tokens.) A worker that answers wrongly begins anew. Which
// answers are compared is drawn from a secret seed, so that no worker can tell. Owns no clock. One
// thread.
#pragma once

#include <cstdint>
#include <map>

#include "engine/base/limits.h"
#include "engine/base/random.h"
#include "protocol/keys.h"

namespace potluck {

enum class VerifyMode : uint8_t {
  kOff,     // nothing is compared, except what comes anyway
  kSample,  // as described above
  kAll,     // every answer, before it counts
};

struct TrustRecord {
  uint64_t valid = 0;       // answers found right, since the last one that was not
  uint64_t compared = 0;    // answers in all
  uint64_t mismatches = 0;  // that were wrong
};

class TrustBook {
 public:
  static constexpr uint64_t kProbation = 10;
  static constexpr double kLeastRate = 0.01;
  // Workers that are remembered.
  static constexpr size_t kRecordsKept = 4 * size_t{limits::kWorkers};

  TrustBook(VerifyMode mode, uint64_t seed) : mode_(mode), random_(seed) {}

  VerifyMode mode() const { return mode_; }
  // Draws: whether the next answer of this worker is to be compared.
  bool wants_check(const PeerKey& worker);
  // A draw for anything else that no worker may foresee.
  uint64_t draw() { return random_.bits(position_++, 1); }

  void found_right(const PeerKey& worker);
  void found_wrong(const PeerKey& worker);

  TrustRecord record(const PeerKey& worker) const;
  bool on_probation(const PeerKey& worker) const { return record(worker).valid < kProbation; }
  // The share of its answers that is compared.
  double check_rate(const PeerKey& worker) const;

  // `needed` says of whom not to forget anything.
  template <class Needed>
  void forget_others(const Needed& needed) {
    if (records_.size() <= kRecordsKept) return;
    std::erase_if(records_, [&](const auto& entry) { return !needed(entry.first); });
  }

 private:
  VerifyMode mode_;
  CounterRandom random_;
  uint64_t position_ = 0;
  std::map<PeerKey, TrustRecord> records_;
};

}  // namespace potluck
