// FieldChecks: the checks that decoding makes. Remembers the first field of a message that does
// not fit; the functions then still return harmless values, so that decoding reads straight down.
// Internal to the codec; one thread.
#pragma once

#include <array>
#include <concepts>
#include <optional>
#include <string>

#include <capnp/blob.h>

#include "engine/base/result.h"

namespace potluck {

class FieldChecks {
 public:
  explicit FieldChecks(const char* message) : message_(message) {}

  bool failed() const { return error_.has_value(); }
  Error error() const { return *error_; }

  // False always, for `return checks.corrupt(...)`.
  bool corrupt(const char* field, const std::string& what);

  // The value, or 0 if it is too large.
  template <std::unsigned_integral T>
  T at_most(T value, uint64_t limit, const char* field) {
    return within(value, limit, field) ? value : T{0};
  }
  template <std::unsigned_integral T>
  T below(T value, uint64_t bound, const char* field) {
    return bound != 0 && within(value, bound - 1, field) ? value : T{0};
  }
  // At least 1 and a multiple of `step`.
  uint32_t one_to(uint32_t value, uint64_t limit, uint32_t step, const char* field);
  int32_t between(int32_t value, int32_t least, int32_t most, const char* field);
  void equal(uint64_t value, uint64_t expected, const char* field);

  // A wire enum as the enum of the same order whose last value is `last`.
  template <class WireEnum, class Enum>
  Enum value(WireEnum wire, Enum last, const char* field) {
    auto number = static_cast<uint16_t>(wire);
    if (number <= static_cast<uint16_t>(last)) return static_cast<Enum>(number);
    corrupt(field, "unknown value " + std::to_string(number));
    return last;
  }

  // Exactly as many bytes as `out` has.
  template <size_t kSize>
  void bytes(capnp::Data::Reader data, const char* field, std::array<uint8_t, kSize>* out) {
    equal(data.size(), kSize, field);
    if (data.size() == kSize) std::copy(data.begin(), data.end(), out->begin());
  }

  std::string text(capnp::Text::Reader text, const char* field);
  std::string endpoint(capnp::Text::Reader text, const char* field);
  std::string endpoint_or_nothing(capnp::Text::Reader text, const char* field);

 private:
  bool within(uint64_t value, uint64_t limit, const char* field);
  void fail(ErrorCode code, const char* field, const std::string& what);

  const char* message_;
  std::optional<Error> error_;
};

}  // namespace potluck
