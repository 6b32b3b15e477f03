// ExpertRoutes: which experts a token uses in each layer, drawn from popularity and from what the
// token before used, or replayed from a trace. One thread.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "simulator/pool_scenario.h"

#include "engine/base/random.h"
#include "engine/base/result.h"

namespace potluck::sim {

// A trace of a real router: for every token and layer the experts that it chose.
struct RouteTrace {
  uint32_t experts = 0;
  uint32_t layers = 0;
  // [token][layer]: experts.
  std::vector<std::vector<std::vector<uint16_t>>> tokens;
};

// Text: lines that begin with # are passed over (except "n_expert=N" in them), a line of names,
// then "turn,phase,step,layer,slot,expert,..". The error names the line.
Result<RouteTrace> read_route_trace(const std::string& path, std::string_view text);

class ExpertRoutes {
 public:
  // `trace` may be null; must outlive the object. Of another size than the model, it is stretched:
  // an expert stands for as many as there are more here, and layers repeat.
  ExpertRoutes(const RouteOptions& options, uint32_t experts, uint32_t top_k, uint64_t seed,
               const RouteTrace* trace = nullptr);

  // Tokens ascend, and layers within a token. All different.
  const std::vector<uint32_t>& choose(uint64_t token, uint32_t layer);
  // What the router of the layer before would have guessed; after choose() of the same.
  std::vector<uint32_t> guess(uint64_t token, uint32_t layer) const;

 private:
  uint32_t popular(uint64_t token, uint32_t layer, uint64_t draw) const;
  void add(std::vector<uint32_t>* chosen, uint32_t expert) const;

  RouteOptions options_;
  uint32_t experts_;
  uint32_t top_k_;
  CounterRandom random_;
  const RouteTrace* trace_;
  std::vector<double> reach_;  // sums of popularity up to each rank, ending at 1
  std::map<uint32_t, std::vector<uint32_t>> last_;  // by layer
};

}  // namespace potluck::sim
