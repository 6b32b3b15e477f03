// RecurrentState: what the delta net layers of one conversation carry from token to token. Unlike
// keys and values it cannot be cut off at an earlier position, so several versions are kept: the
// one at the conversation's length, the one a running step writes, the one before the last step,
// and checkpoints. A step that fails leaves the version at the length untouched. Belongs to one
// session; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "engine/base/buffer.h"

namespace potluck {

class RecurrentState {
 public:
  // Checkpoints beside the current version and the one before; the oldest makes way.
  static constexpr uint32_t kCheckpoints = 2;

  // Starts at length 0, where all values are zero. No layers: every length can be reached.
  RecurrentState(uint32_t layers, uint64_t values_per_layer);

  uint32_t length() const { return length_; }
  // Forwards to where a step has ended, or back to a position that is known (CHECK).
  void set_length(uint32_t length);
  // The largest position up to `length` that set_length() can go back to.
  uint32_t reachable(uint32_t length) const;
  // Keeps the version at the length.
  void checkpoint();

  // One layer's values before and after a step that ends at position `end`. `after` counts once
  // set_length(end) is called.
  struct Versions {
    const float* before = nullptr;
    float* after = nullptr;
  };
  Versions advance(uint32_t layer, uint32_t end);

  // Upper bound of what one object takes.
  static uint64_t bytes_for(uint32_t layers, uint64_t values_per_layer);

 private:
  static constexpr uint32_t kNowhere = UINT32_MAX;

  struct Version {
    uint32_t position = kNowhere;
    Buffer values;  // [layers, values_per_layer]; allocated when first used
  };

  bool empty() const { return values_ == 0; }
  float* values_of(Version& version, uint32_t layer);
  void copy(Version& from, Version& to);

  uint64_t values_per_layer_;
  uint64_t values_;  // of all layers
  uint32_t length_ = 0;
  uint32_t pending_end_ = kNowhere;  // what versions_[1 - current_] will be, if a step is running
  uint32_t current_ = 0;
  std::array<Version, 2> versions_;  // at the length; and before the last step, or being written
  std::array<Version, kCheckpoints> checkpoints_;
  uint32_t oldest_ = 0;  // of the checkpoints
};

}  // namespace potluck
