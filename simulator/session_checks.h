// What is checked of every loop in a simulation, for any input: it keeps running, it sends no more
// than it may, and it frees memory. Each check is fed with what was seen and keeps what must
// not be. Plain values; one thread.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "coordinator/cluster/control_outbox.h"
#include "engine/base/clock.h"
#include "protocol/keys.h"

namespace potluck::sim {

// From every state something is due, or everything is done; and what is due is done.
class ProgressCheck {
 public:
  // Turns at one moment and without a message: far more than there is to do at once.
  static constexpr uint64_t kMostTurnsInPlace = 20'000;

  explicit ProgressCheck(std::string name) : name_(std::move(name)) {}

  // After each turn. `moved`: a message had come, or time had passed. `due`: what the loop waits
  // for now. `done`: it has no more to do, ever.
  void after_turn(bool moved, TimePoint due, bool done = false) {
    turns_in_place_ = moved ? 0 : turns_in_place_ + 1;
    if (turns_in_place_ == kMostTurnsInPlace) {
      violations_.push_back(name_ + " turns without end: what is due stays due");
      spins_ = true;
    }
    if (!done && due == TimePoint::max() && violations_.empty()) {
      violations_.push_back(name_ + " waits for nothing: nothing will ever be due again");
    }
  }
  // It did turn without end: to let time pass is up to the caller.
  bool spins() const { return spins_; }
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  std::string name_;
  uint64_t turns_in_place_ = 0;
  bool spins_ = false;
  std::vector<std::string> violations_;
};

// A peer is told no more than it takes, however much it says; and one turn makes few messages.
class TrafficCheck {
 public:
  // Control messages to one peer in a second: what may go unconfirmed, once before and once after
  // an answer, and small messages.
  static constexpr uint64_t kMostControlBytes = 2 * (ControlOutbox::kUnconfirmedBytes + 256 * kKiB);

  // `most_per_turn`: messages that the loop may send in one turn.
  TrafficCheck(std::string name, uint64_t most_per_turn)
      : name_(std::move(name)), most_per_turn_(most_per_turn) {}

  // `control`: neither work nor bulk.
  void sent(const PeerKey& peer, TimePoint now, bool control, uint64_t bytes) {
    if (++in_turn_ == most_per_turn_ + 1) {
      violations_.push_back(
          fmt::format("{} sends more than {} messages in one turn", name_, most_per_turn_));
    }
    most_in_turn_ = std::max(most_in_turn_, in_turn_);
    if (!control) return;
    Window& window = windows_[peer];
    if (now - window.since >= std::chrono::seconds(1)) window = {now, 0};
    bool was_fine = window.bytes <= kMostControlBytes;
    window.bytes += bytes;
    if (was_fine && window.bytes > kMostControlBytes) {
      violations_.push_back(name_ + " says more to one peer than it may");
    }
    most_control_bytes_ = std::max(most_control_bytes_, window.bytes);
  }
  void end_turn() { in_turn_ = 0; }

  uint64_t most_control_bytes() const { return most_control_bytes_; }
  uint64_t most_in_turn() const { return most_in_turn_; }
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  struct Window {
    TimePoint since{0};
    uint64_t bytes = 0;
  };

  std::string name_;
  uint64_t most_per_turn_;
  uint64_t in_turn_ = 0;
  uint64_t most_in_turn_ = 0;
  std::map<PeerKey, Window> windows_;
  uint64_t most_control_bytes_ = 0;
  std::vector<std::string> violations_;
};

// Memory stays within a budget, and what messages took is given back once all is at rest.
class MemoryCheck {
 public:
  static constexpr uint64_t kSettling = 4 * kMiB;
  static constexpr uint64_t kLeftByMessage = 8;

  MemoryCheck(uint64_t at_start, uint64_t budget) : at_start_(at_start), budget_(budget) {}

  // At any time.
  void look(uint64_t in_use) {
    uint64_t used = in_use - std::min(in_use, at_start_);
    if (used > budget_ && most_ <= budget_) {
      violations_.push_back(fmt::format("{} bytes in use, {} expected at most", used, budget_));
    }
    most_ = std::max(most_, used);
  }
  // At rest, after so many more messages than at the last rest. What the first ones left behind is
  // where the comparison begins; queues that were long keep their memory, and what is remembered of
  // peers is bounded, so a part that does not grow with the messages is allowed.
  void rest(uint64_t in_use, uint64_t messages) {
    look(in_use);
    if (first_rest_ == 0) {
      first_rest_ = in_use;
      return;
    }
    messages_ += messages;
    uint64_t more = in_use - std::min(in_use, first_rest_);
    if (more > kSettling + messages_ * kLeftByMessage) {
      violations_.push_back(
          fmt::format("{} bytes more at rest after {} more messages", more, messages_));
    }
  }

  uint64_t most() const { return most_; }
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  uint64_t at_start_;
  uint64_t budget_;
  uint64_t most_ = 0;
  uint64_t first_rest_ = 0;
  uint64_t messages_ = 0;  // since then
  std::vector<std::string> violations_;
};

}  // namespace potluck::sim
