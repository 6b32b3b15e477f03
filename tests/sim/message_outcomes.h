// MessageOutcomes: what became of messages, by kind: a fuzzer whose messages are all thrown away
// proves nothing, and neither does one whose messages are all welcome. Plain value; one thread.
#pragma once

#include <array>
#include <string>

#include "simulator/turn_record.h"

#include "tests/sim/message_kinds.h"

namespace potluck::sim {

enum class MessageOutcome {
  kTaken,    // it did what its kind is for
  kRefused,  // the receiver said so, to the sender or to people, or greets or ends instead
  kIgnored,  // nothing shows
};

// Judged by what the receiver did, not by the rules that it should follow.
MessageOutcome outcome_of(const TurnRecord& turn);

class MessageOutcomes {
 public:
  void add(const TurnRecord& turn) { count(turn.message.index(), outcome_of(turn)); }
  void add(const MessageOutcomes& more);
  void count(size_t kind, MessageOutcome outcome) { ++counts_[kind][static_cast<size_t>(outcome)]; }
  uint64_t of(size_t kind, MessageOutcome outcome) const {
    return counts_[kind][static_cast<size_t>(outcome)];
  }
  // Kinds that were never taken, or never refused; empty if there are none.
  std::string missing() const;
  std::string table() const;

 private:
  std::array<std::array<uint64_t, 3>, kMessageKinds> counts_{};
};

}  // namespace potluck::sim
