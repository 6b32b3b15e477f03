// RaceBook: pieces of work that more than one side was asked for: because an answer is late, or
// because answers are to be compared. A side is a worker, or several that hold the piece's units
// together. What each of them said is kept until nobody is awaited any more, so that every answer
// counts at most once and those that come too late are still evidence.
//
// Owns the answers and what is needed to compute the piece anew (a copy of its activations: the
// batch may be gone by then). Knows neither clocks nor messages. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "coordinator/dispatch/local_calls.h"
#include "coordinator/dispatch/row_calls.h"
#include "engine/base/clock.h"
#include "engine/kernels/activations.h"
#include "protocol/keys.h"
#include "protocol/message.h"

namespace potluck {

// What one worker said. Its calls name rows of the piece.
struct Claim {
  PeerKey worker;
  RowCalls calls;
  std::vector<uint8_t> flags;  // of its rows
  ByteVector packed;           // sums; were valid when they came
};

enum class SideState : uint8_t { kAsked, kComplete, kFailed };

struct Side {
  SideState state = SideState::kAsked;
  bool whole = true;  // asked for all of the piece, not for some rows of it
  size_t calls_left = 0;
  std::vector<Claim> claims;
};

// Rows of a batch, copied: "rows of the piece" are numbered as they stand here.
struct PieceInput {
  uint32_t layer = 0;
  std::vector<uint32_t> rows;  // of the batch, ascending
  std::vector<int32_t> fraction_bits;
  ActivationBuffer activations;

  static PieceInput copy_of(const ExpertBatch& batch, std::span<const RowCall> calls);
  // A view; valid as long as this is.
  ExpertBatch batch() const;
  // With the rows of the piece in place of the batch's.
  RowCalls renamed(std::span<const RowCall> calls) const;
};

// The coordinator computes what workers said: one job for each claim.
struct OwnCheck {
  struct Job {
    size_t side = 0;
    size_t claim = 0;
    LocalCalls calls;
    ExpertSums truth;
  };
  std::vector<uint32_t> rows;  // of the piece, ascending: those that are computed
  std::vector<Job> jobs;
  size_t next = 0;   // of the jobs
  bool out = false;  // a part is being computed
  Duration took{0};  // in all
};

struct Race {
  uint64_t ticket = 0;  // 0: nobody waits for the answer any more
  uint32_t attempt = 0;
  bool checked = false;   // the answer waits until another one agrees
  bool own_copy = false;  // by the coordinator alone: nobody else holds the units
  bool answered = false;  // a side's sums are in the answer
  size_t hedge = 0;       // the side that was asked as a hedge; 0: none
  RowCalls calls;         // all, with rows of the batch
  PieceInput input;
  ExpertBatch batch;  // of `input`
  std::vector<PeerKey> asked;
  std::vector<Side> sides;
  std::optional<OwnCheck> check;

  // Sides of this state; of the whole ones only, if so asked.
  size_t count(SideState state, bool whole_only = false) const;
  std::optional<size_t> complete_whole_side() const;
};

// What a side says in all, in rows of the piece; rows that it was not asked for are 0.
ExpertSums sums_of(const Race& race, const Side& side);
// Rows of the piece about which both say something and differ.
std::vector<uint32_t> differing_rows(const Race& race, const Side& a, const Side& b);
// Whether the claim is what was computed for the rows of the check.
bool claim_is_true(const Race& race, const OwnCheck& check, const OwnCheck::Job& job);

class RaceBook {
 public:
  // Bytes of activations and answers that are kept for comparisons which nobody waits for: beyond
  // it no race is opened that can be done without.
  static constexpr uint64_t kMostBytes = 64 * kMiB;

  uint64_t open(Race race);
  Race* find(uint64_t number);
  void close(uint64_t number) { races_.erase(number); }
  bool has_room() const { return bytes() < kMostBytes; }
  size_t size() const { return races_.size(); }

  template <class Visit>
  void visit(const Visit& visit) {
    for (auto& [number, race] : races_) visit(number, race);
  }
  template <class Visit>
  void visit(const Visit& visit) const {
    for (const auto& [number, race] : races_) visit(number, race);
  }

 private:
  uint64_t bytes() const;

  std::map<uint64_t, Race> races_;  // stay in place
  uint64_t next_ = 1;
};

}  // namespace potluck
