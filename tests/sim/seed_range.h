// Which seeds a seeded simulation runs. POTLUCK_SIM_SEED=n: that one alone; POTLUCK_SIM_RUNS=n: 1
// to n.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace potluck::sim {

struct SeedRange {
  uint64_t first = 1;
  uint64_t last = 0;
};

inline SeedRange seeds_to_run(uint64_t unless_told) {
  auto number = [](const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
  };
  uint64_t first = number("POTLUCK_SIM_SEED", 1);
  bool is_one = std::getenv("POTLUCK_SIM_SEED") != nullptr;
  return {first, is_one ? first : number("POTLUCK_SIM_RUNS", unless_told)};
}

}  // namespace potluck::sim
