// PositionSelection: which positions the rows of a step may see in a layer with sparse attention
// (indexer.h). Filled by row, read by all threads afterwards.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace potluck {

// A bit for each position that a row may see; by row and group of heads.
class PositionSelection {
 public:
  void reset(uint32_t rows, uint32_t groups);
  // Rows of the first half become rows of the second: see TokenMixer::move_row().
  void move_row(uint32_t from, uint32_t to);
  // Empty: the row sees all. Other heads than the groups have are those of the last one.
  std::span<const uint64_t> bits(uint32_t row, uint32_t kv_head) const {
    return at(row, kv_head < groups_ ? kv_head : groups_ - 1);
  }
  std::vector<uint64_t>& at(uint32_t row, uint32_t group) { return bits_[row * groups_ + group]; }
  const std::vector<uint64_t>& at(uint32_t row, uint32_t group) const {
    return bits_[row * groups_ + group];
  }

 private:
  uint32_t groups_ = 1;
  std::vector<std::vector<uint64_t>> bits_;  // [rows][groups]
};

}  // namespace potluck
