// Two kinds of random numbers. CounterRandom is a pure function of (seed, position, index): it has
// no state, so speculation, batching and restarts cannot shift what is drawn at a position. Entropy
// is the seam to the system's random device, for keys and secrets.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"

namespace potluck {

// 64 well-mixed bits for the draw `index` at `position` of the stream `seed`: the finalizer of
// SplitMix64 (Steele, Lea, Flood 2014), applied once per word of the key.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class CounterRandom {
 public:
  explicit constexpr CounterRandom(uint64_t seed) : seed_(seed) {}

  constexpr uint64_t bits(uint64_t position, uint64_t index = 0) const {
    return mix64(mix64(mix64(seed_) ^ position) ^ index);
  }
  // Uniform in [0, 1), a multiple of 2^-53.
  constexpr double uniform(uint64_t position, uint64_t index = 0) const {
    return static_cast<double>(bits(position, index) >> 11) * 0x1.0p-53;
  }

 private:
  uint64_t seed_;
};

class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual void fill(MutableByteSpan out) = 0;

  uint64_t next64() {
    std::byte raw[8];
    fill(raw);
    return load<uint64_t>(raw);
  }
};

// The operating system's random device, through OpenSSL. Any thread.
class SystemEntropy final : public Entropy {
 public:
  void fill(MutableByteSpan out) override;
};

// The same bytes for the same seed: for tests and the simulator. One thread.
class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(uint64_t seed) : random_(seed) {}
  void fill(MutableByteSpan out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(random_.bits(position_++) & 0xff);
  }

 private:
  CounterRandom random_;
  uint64_t position_ = 0;
};

}  // namespace potluck
