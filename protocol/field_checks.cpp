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

void FieldChecks::equal(uint64_t value, uint64_t expected, const char* field) {
  if (value != expected) corrupt(field, fmt::format("expected {}, found {}", expected, value));
}

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

std::vector<UnitId> FieldChecks::units(capnp::List<uint16_t>::Reader numbers, uint32_t slices,
                                       const char* field) {
  if (numbers.size() % 3 != 0) {
    corrupt(field, fmt::format("expected three numbers each, found {}", numbers.size()));
    return {};
  }
  std::vector<UnitId> units(numbers.size() / 3);  // no more than the header has room for
  for (uint32_t i = 0; i < units.size(); ++i) {
    units[i].layer = below(numbers[3 * i], limits::kLayers, field);
    units[i].expert = below(numbers[3 * i + 1], limits::kExperts, field);
    units[i].slice = below(numbers[3 * i + 2], slices, field);
  }
  return units;
}

}  // namespace potluck
