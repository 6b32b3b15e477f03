// Reproducible random weights and activations for the kernel tests. Test code, one thread.
#pragma once

#include <vector>

#include "engine/base/random.h"
#include "engine/kernels/block_format.h"

namespace potluck {

// Draws one after the other from the stream of a seed.
class RandomDraws {
 public:
  explicit RandomDraws(uint64_t seed) : random_(seed) {}
  uint64_t bits() { return random_.bits(position_++); }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(bits() % bound); }
  float between(float low, float high) {
    return low + (high - low) * static_cast<float>(random_.uniform(position_++));
  }

 private:
  CounterRandom random_;
  uint64_t position_ = 0;
};

// `rows` whole rows in GGUF blocks: every quant and sub-scale is uniformly random over its whole
// range, block scales are finite and about 2^-6, floats are in [-1, 1).
ByteVector random_blocks(TensorType type, uint32_t rows, uint32_t columns, RandomDraws& draws);

// Values in [-range, range).
std::vector<float> random_floats(size_t count, float range, RandomDraws& draws);

}  // namespace potluck
