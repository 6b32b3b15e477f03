// Want: why a grain is read from disk. It decides what may leave memory for its sake and how many
// such reads may be waiting. ReadAhead: which grains are read before they are asked for.
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

enum class ReadAhead : uint8_t {
  kOff,
  // What the next layer all but certainly needs. Guesses are left out: on one machine the disk has
  // no idle moment for them while tokens are generated, and a wrong one delays what is needed.
  kSure,
  kAll,
};

inline bool reads_ahead(ReadAhead what, Want want) {
  return what == ReadAhead::kAll || (what == ReadAhead::kSure && want == Want::kSoon);
}

}  // namespace potluck
