// Why a token row of a step failed: a value left its range (docs/ARITHMETIC.md, 9). Plain value
// and a pure function; any thread.
#pragma once

#include <cstdint>

#include "engine/base/result.h"

namespace potluck {

struct RowFault {
  enum Kind : uint8_t { kNone, kHidden, kRouter, kExperts, kLogits };

  Kind kind = kNone;
  uint32_t layer = 0;

  explicit operator bool() const { return kind != kNone; }
};

// Success for a row without a fault, else an error that names the token's position and the place.
Status fault_status(const RowFault& fault, uint32_t position);

}  // namespace potluck
