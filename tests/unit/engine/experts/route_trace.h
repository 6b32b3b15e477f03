// RouteTrace: which experts the tokens of a real model used, for driving caches in tests, and two
// caches to compare with. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace potluck::test {

struct RouteStep {
  uint32_t layer = 0;
  std::vector<uint32_t> experts;  // each once
};

struct RouteTrace {
  std::string name;
  uint32_t layers = 0;
  uint32_t experts = 0;  // of a layer
  std::vector<RouteStep> steps;

  uint64_t bank() const { return uint64_t{layers} * experts; }
};

// Reads "turn,phase,step,layer,slot,expert,..." lines. The tokens of the prompt (phase 0) pass a
// layer in one step.
Result<RouteTrace> read_route_trace(const std::string& path);

// The traces beside the project, if they are there.
std::vector<RouteTrace> shared_route_traces();

// Shares of uses that are hits, with room for so many experts.
double replay_policy(const RouteTrace& trace, uint64_t entries);
double replay_lru(const RouteTrace& trace, uint64_t entries);
double replay_clairvoyant(const RouteTrace& trace, uint64_t entries);

}  // namespace potluck::test
