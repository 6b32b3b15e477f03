// CompressorShape: how many positions become one entry of compressed attention, and what is kept of
// those that are not complete yet (compressor.h). Plain value; any thread.
#pragma once

#include <cstdint>

#include "engine/model/config.h"

namespace potluck {

struct CompressorShape {
  uint32_t dimensions;  // of an entry
  uint32_t ratio;       // positions of a window
  bool overlaps;        // an entry mixes two windows: of the one before the first half of channels

  CompressorShape(uint32_t entry_dimensions, uint32_t window_ratio)
      : dimensions(entry_dimensions),
        ratio(window_ratio),
        overlaps(CompressedConfig::overlaps(window_ratio)) {}

  // Channels of a position's values and gates.
  uint32_t width() const { return overlaps ? 2 * dimensions : dimensions; }
  // Float32 values that are kept from token to token: a running softmax (largest gate, sum, sum of
  // values) for each channel of the open window, and of the first half of the window before.
  uint32_t kept() const { return 3 * (width() + (overlaps ? dimensions : 0)); }
};

}  // namespace potluck
