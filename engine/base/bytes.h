// Reading and writing little-endian values in byte ranges. ByteReader is the checked reader that
// everything from a file or a peer goes through: it never reads past its end and never lets a
// length be used before it was compared with what is left. Plain values; any thread.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/base/result.h"

namespace potluck {

static_assert(std::endian::native == std::endian::little, "big-endian machines are not supported");

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;
using ByteVector = std::vector<std::byte>;

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;

// Loads a T from memory of any alignment.
template <class T>
T load(const void* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Stores a T to memory of any alignment.
template <class T>
void store(void* to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(to, &value, sizeof value);
}

template <std::unsigned_integral T>
constexpr T ceil_div(T a, T b) {
  return static_cast<T>(a / b + (a % b != 0 ? 1 : 0));
}

template <std::unsigned_integral T>
constexpr T round_up(T value, T multiple) {
  return static_cast<T>(ceil_div(value, multiple) * multiple);
}

// a * b and a + b; false when the result does not fit 64 bits.
[[nodiscard]] inline bool checked_multiply(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}
[[nodiscard]] inline bool checked_add(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}

inline ByteSpan as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  // Not for bool: a byte other than 0 and 1 is no bool at all. Read a uint8_t and check it.
  template <class T>
  Result<T> read() {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    if (remaining() < sizeof(T)) return truncated(sizeof(T));
    T value = load<T>(bytes_.data() + position_);
    position_ += sizeof(T);
    return value;
  }

  // A view of the next `count` bytes; it lives as long as the bytes the reader was given.
  Result<ByteSpan> take(uint64_t count) {
    if (remaining() < count) return truncated(count);
    ByteSpan taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

 private:
  Error truncated(uint64_t wanted) const;

  ByteSpan bytes_;
  uint64_t position_ = 0;
};

// Appends values to a byte vector; the mirror image of ByteReader.
class ByteWriter {
 public:
  template <class T>
  requires std::is_arithmetic_v<T>
  void write(T value) {
    auto raw = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  void write(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  const ByteVector& bytes() const { return bytes_; }
  ByteVector take() { return std::move(bytes_); }

 private:
  ByteVector bytes_;
};

}  // namespace potluck
