// Want: why a grain is read from disk. It decides what may leave memory for its sake and how many
// such reads may be waiting.
#pragma once

#include <cstdint>

namespace potluck {

enum class Want : uint8_t {
  kNow,      // what is computed now asks for it
  kSoon,     // the next layer all but certainly will: the step has many rows
  kPerhaps,  // a guess, for a disk that has nothing else to do
};

// Of the experts that a step of so many rows is expected to use in the next layer. Of those named
// for 32 rows of the bundled model, 12 in 100 were not used, and the more rows the fewer.
inline Want foresight(uint32_t rows) {
  constexpr uint32_t kNearlyAll = 16;
  return rows >= kNearlyAll ? Want::kSoon : Want::kPerhaps;
}

}  // namespace potluck
