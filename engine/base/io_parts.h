// IoParts: what is left of a scattered read, in the form the system calls take. Internal to the
// code that makes them. Plain value.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include <sys/uio.h>

#include "engine/base/bytes.h"

namespace potluck {

struct IoParts {
  std::array<iovec, 16> vectors;
  int count = 0;

  // The parts without their first `skip` bytes; as many of them as fit.
  IoParts(std::span<const MutableByteSpan> parts, uint64_t skip) {
    for (MutableByteSpan part : parts) {
      if (static_cast<size_t>(count) == vectors.size()) break;
      uint64_t skipped = std::min<uint64_t>(skip, part.size());
      skip -= skipped;
      if (skipped == part.size()) continue;
      vectors[static_cast<size_t>(count++)] = {part.data() + skipped, part.size() - skipped};
    }
  }
};

// Where a read that wants to reach `end` goes on after `got` bytes from `position` on. A direct
// read may stop early at any sector; the next one has to start at a whole block.
inline uint64_t next_position(uint64_t position, uint64_t got, uint64_t end, uint64_t alignment) {
  uint64_t next = position + got;
  return next < end ? next - next % alignment : next;
}

}  // namespace potluck
