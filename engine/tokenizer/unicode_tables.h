// Facts of Unicode that canonical composition (NFC) rests on. Constant data, any thread.
#pragma once

#include <cstdint>
#include <span>

namespace potluck {

struct Decomposition {
  uint32_t character;
  uint32_t first;
  uint32_t second = 0;  // 0: there is none
};

struct CombiningRange {
  uint32_t first;
  uint32_t last;
  uint8_t combining_class;
};

// Characters that their two parts compose again.
std::span<const Decomposition> composing_pairs();
// Characters that decompose and never come back.
std::span<const Decomposition> one_way_decompositions();
// Ascending; all other characters are of class 0.
std::span<const CombiningRange> combining_ranges();

}  // namespace potluck
