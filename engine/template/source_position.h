// Where something stands in a template, and errors that say so. Plain values.
#pragma once

#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "engine/base/result.h"

namespace potluck {

struct SourcePosition {
  uint32_t line = 1;    // both count from 1
  uint32_t column = 1;  // in bytes
};

inline Error error_at(SourcePosition at, ErrorCode code, const std::string& what) {
  return {code, fmt::format("line {}, column {}: {}", at.line, at.column, what)};
}

}  // namespace potluck
