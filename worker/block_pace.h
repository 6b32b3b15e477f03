// BlockPace: how many calls a worker computes before it looks up again, learned from what the last
// blocks took. The measure of a call is its weights: their bytes are multiplied with one row, and
// come from disk once for all rows. Pure; owns no clock. One thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/clock.h"

namespace potluck {

class BlockPace {
 public:
  // Time that a block may wait for the disk, as a multiple of its time for computing: the reads of
  // one small message start together, which suits disks, and a slow disk does not keep the worker
  // from listening for a second.
  static constexpr double kDiskShare = 2.5;

  // Adds a call of so many bytes of weights, which the call before may have had as well, to the
  // block. False if the block is then likely to take longer than `budget`; the first call is always
  // taken, and the first one ever is a block of its own.
  bool take(uint64_t bytes, bool same_weights, Duration budget) {
    if (calls_ > 0 && !measured_) return false;
    double computing = computing_ + static_cast<double>(bytes) * compute_cost_;
    double reading = reading_;
    if (!same_weights) reading += static_cast<double>(bytes) * read_cost_;
    double time = computing + reading / kDiskShare;
    if (calls_ > 0 && time > static_cast<double>(budget.count())) return false;
    computing_ = computing;
    reading_ = reading;
    bytes_ += bytes;
    ++calls_;
    return true;
  }
  uint64_t calls() const { return calls_; }
  void begin() { computing_ = reading_ = 0, bytes_ = calls_ = 0; }

  // The block was computed: what it took, without and with waiting for the disk, which read so many
  // bytes for it. More is believed at once, less by halves: a block too short costs little.
  void end(Duration computed, Duration waited, uint64_t read_bytes) {
    if (bytes_ > 0) learn(computed, bytes_, &compute_cost_, &measured_);
    if (read_bytes > 0) learn(waited, read_bytes, &read_cost_, &read_);
  }

 private:
  static void learn(Duration took, uint64_t bytes, double* cost, bool* known) {
    double found =
        static_cast<double>(std::max(took.count(), Duration::rep{0})) / static_cast<double>(bytes);
    *cost = !*known || found > *cost ? found : (*cost + found) / 2;
    *known = true;
  }

  // Nanoseconds per byte. Of the disk nothing is known until it has read: as if on a slow card.
  double compute_cost_ = 0;
  double read_cost_ = 50;
  bool measured_ = false;
  bool read_ = false;
  double computing_ = 0;  // of the block being made
  double reading_ = 0;
  uint64_t bytes_ = 0;
  uint64_t calls_ = 0;
};

}  // namespace potluck
