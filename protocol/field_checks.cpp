#include "protocol/field_checks.h"

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

std::string_view view_of(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

}  // namespace

// The first error is the cause; decoding goes on with harmless values, and later fields may only
// fail because of those.
void FieldChecks::fail(ErrorCode code, const char* field, const std::string& what) {
  if (!error_) error_ = Error{code, fmt::format("{}: {}: {}", message_, field, what)};
}

bool FieldChecks::corrupt(const char* field, const std::string& what) {
  fail(ErrorCode::kCorrupt, field, what);
  return false;
}

bool FieldChecks::within(uint64_t value, uint64_t limit, const char* field) {
  if (value <= limit) return true;
  fail(ErrorCode::kLimit, field, fmt::format("expected at most {}, found {}", limit, value));
  return false;
}

uint32_t FieldChecks::one_to(uint32_t value, uint64_t limit, uint32_t step, const char* field) {
  value = at_most(value, limit, field);
  if (value == 0) corrupt(field, "expected at least 1, found 0");
  if (value % step != 0) {
    corrupt(field, fmt::format("expected a multiple of {}, found {}", step, value));
  }
  return value;
}

int32_t FieldChecks::between(int32_t value, int32_t least, int32_t most, const char* field) {
  if (value < least || value > most) {
    corrupt(field, fmt::format("expected {} to {}, found {}", least, most, value));
  }
  return value;
}

void FieldChecks::equal(uint64_t value, uint64_t expected, const char* field) {
  if (value != expected) corrupt(field, fmt::format("expected {}, found {}", expected, value));
}

// The length is compared before the text is cleaned: cleaning walks over all of it.
std::string FieldChecks::text(capnp::Text::Reader text, const char* field) {
  if (!within(text.size(), limits::kTextBytes, field)) return {};
  return clean_text(view_of(text), limits::kTextBytes);
}

std::string FieldChecks::endpoint(capnp::Text::Reader text, const char* field) {
  Status fits = check_endpoint(view_of(text));
  if (!fits) {
    corrupt(field, fits.error().message);
    return {};
  }
  return std::string(view_of(text));
}

std::string FieldChecks::endpoint_or_nothing(capnp::Text::Reader text, const char* field) {
  return text.size() == 0 ? std::string() : endpoint(text, field);
}

}  // namespace potluck
