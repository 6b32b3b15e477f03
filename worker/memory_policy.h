// MemoryPolicy: how much of the memory that a device offers experts can really have. Gives it back
// before the system has to take it by force: when little is left, or programs wait for memory; and
// takes it again, step by step, when there has been enough for a while. Pure; owns no clock. One
// thread.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/base/clock.h"

namespace potluck {

// What is known of a device's memory at one moment.
struct MemoryState {
  uint64_t total = 0;           // that this process could ever have; 0: not known
  uint64_t available = 0;       // that it can have now beyond what it has, with nothing swapped out
  std::optional<double> stall;  // percent of the last 10 s in which some process waited for memory
  uint64_t resident = 0;        // of the experts, at present

  bool operator==(const MemoryState&) const = default;
};

class MemoryPolicy {
 public:
  // What stays even then: an eighth of what was offered. Below that nearly every expert is read
  // from disk, and giving back more saves nothing worth it.
  static constexpr uint64_t kFloorPart = 8;
  // Pressure has to be gone for so long before anything is taken again, a step of an eighth each.
  static constexpr Duration kCalm = std::chrono::seconds(30);
  static constexpr Duration kStep = std::chrono::seconds(10);
  // The kernel's figure is an average of 10 s: what was given back shows in it after a while.
  static constexpr Duration kStallPause = std::chrono::seconds(5);

  explicit MemoryPolicy(uint64_t offered) : offered_(offered), limit_(offered) {}

  // Bytes that experts can have from now on, at most what was offered.
  uint64_t judge(const MemoryState& state, TimePoint now);
  uint64_t limit() const { return limit_; }
  uint64_t floor() const { return offered_ / kFloorPart; }

  uint64_t shrinks() const { return shrinks_; }        // how often less was allowed
  uint64_t given_back() const { return given_back_; }  // bytes, in all

 private:
  std::optional<uint64_t> wanted_back(const MemoryState& state, TimePoint now) const;
  void shrink_to(uint64_t next, uint64_t held, TimePoint now);

  uint64_t offered_;
  uint64_t limit_;
  uint64_t shrinks_ = 0;
  uint64_t given_back_ = 0;
  std::optional<TimePoint> shrunk_at_;
  std::optional<TimePoint> calm_since_;
  TimePoint grown_at_{0};
};

}  // namespace potluck
