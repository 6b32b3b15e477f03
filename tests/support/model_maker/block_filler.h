// Random weights in every block format of GGUF, written straight as blocks: random bits in the
// quants (every code of every format is a number) and scales that give the decoded values a mean of
// zero and the wanted deviation. Shares no code with the decoders, so that the two check each
// other. Constants and pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/random.h"

namespace potluck::test {

struct FillFormat {
  uint32_t type;  // ggml's number
  std::string_view name;
  uint32_t block_elements;
  uint32_t block_bytes;
  // Root of the mean square of what random bits decode to when the block's scale is 1.
  double unit;
  // Turns a block of random bits into one whose values have the deviation unit * scale. `more` are
  // further random bits. Absent for F32, F16 and BF16.
  void (*finish)(std::byte* block, double scale, uint64_t more);

  uint64_t row_bytes(uint64_t columns) const { return columns / block_elements * block_bytes; }
};

std::span<const FillFormat> fill_formats();
const FillFormat* find_fill_format(std::string_view name);  // nullptr: not known
const FillFormat* find_fill_format(uint32_t type);          // nullptr: not known

// Blocks [first, first + out.size() / block_bytes) of the endless stream of blocks that `random`
// defines. A function of the arguments alone: streams may be written in any pieces.
void fill_blocks(const FillFormat& format, const CounterRandom& random, double deviation,
                 uint64_t first, MutableByteSpan out);

}  // namespace potluck::test
