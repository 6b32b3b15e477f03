// Scattered reads as the system calls take them, and how to go on when one stops early. Internal to
// the code that makes those calls. Pure functions.
#pragma once

#include <algorithm>
#include <span>

#include <sys/uio.h>

#include "engine/base/bytes.h"

namespace potluck {

// Fills `vectors` with the parts without their first `skip` bytes, as many as fit. Returns how many
// there are.
inline int io_vectors(std::span<const MutableByteSpan> parts, uint64_t skip,
                      std::span<iovec> vectors) {
  size_t count = 0;
  for (MutableByteSpan part : parts) {
    if (count == vectors.size()) break;
    uint64_t skipped = std::min<uint64_t>(skip, part.size());
    skip -= skipped;
    if (skipped == part.size()) continue;
    vectors[count++] = {part.data() + skipped, part.size() - skipped};
  }
  return static_cast<int>(count);
}

// Where a read that wants to reach `end` goes on after `got` bytes from `position` on. A direct
// read may stop early at any sector; the next one has to start at a whole block.
inline uint64_t next_position(uint64_t position, uint64_t got, uint64_t end, uint64_t alignment) {
  uint64_t next = position + got;
  return next < end ? next - next % alignment : next;
}

}  // namespace potluck
