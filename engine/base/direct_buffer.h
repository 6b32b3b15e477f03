// DirectBuffer: memory that direct reads can fill (ReadMode::kDirect). Moved, never copied.
#pragma once

#include <utility>

#include "engine/base/buffer.h"

namespace potluck {

class DirectBuffer {
 public:
  static constexpr uint64_t kAlignment = 4096;

  DirectBuffer() = default;
  // Buffer aligns small blocks to 64 bytes only: a little more is asked for. Throws as it does.
  explicit DirectBuffer(uint64_t bytes, std::string_view purpose = "a buffer")
      : memory_(bytes + kAlignment, purpose), bytes_(bytes) {}
  DirectBuffer(DirectBuffer&& other) noexcept
      : memory_(std::move(other.memory_)), bytes_(std::exchange(other.bytes_, 0)) {}
  DirectBuffer& operator=(DirectBuffer&& other) noexcept {
    memory_ = std::move(other.memory_);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }

  MutableByteSpan span() {
    auto address = reinterpret_cast<uintptr_t>(memory_.data());
    return {memory_.data() + (round_up<uintptr_t>(address, kAlignment) - address), bytes_};
  }

 private:
  Buffer memory_;
  uint64_t bytes_ = 0;
};

}  // namespace potluck
