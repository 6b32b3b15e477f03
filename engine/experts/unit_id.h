// Names of the parts of a model that devices hold: a unit is what is placed and computed, a grain
// is what is stored and delivered. Plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

#include "engine/base/random.h"

namespace potluck {

// Slice `slice` of S of expert `expert` in layer `layer`. S belongs to the assignment, not the id.
struct UnitId {
  uint16_t layer = 0;
  uint16_t expert = 0;
  uint16_t slice = 0;

  auto operator<=>(const UnitId&) const = default;
};

struct GrainId {
  uint16_t layer = 0;
  uint16_t expert = 0;
  uint16_t grain = 0;

  auto operator<=>(const GrainId&) const = default;
};

}  // namespace potluck

template <>
struct std::hash<potluck::UnitId> {
  size_t operator()(const potluck::UnitId& id) const noexcept {
    return potluck::mix64(uint64_t{id.layer} << 32 | uint64_t{id.expert} << 16 | id.slice);
  }
};

template <>
struct std::hash<potluck::GrainId> {
  size_t operator()(const potluck::GrainId& id) const noexcept {
    return potluck::mix64(uint64_t{id.layer} << 32 | uint64_t{id.expert} << 16 | id.grain);
  }
};
