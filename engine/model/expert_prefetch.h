// ExpertPrefetch: predicts which experts the next layer will ask for, so that disks can begin to
// read them: the next layer's own norm and router, applied to this layer's residual before its
// experts were added. It costs a router's product and changes nothing that is computed. Where a
// table names the experts of tokens (token_experts.h), it is no guess and costs nothing. Owns its
// scratch memory; one thread (and its pool).
#pragma once

#include <span>
#include <vector>

#include "engine/model/hyper_connections.h"
#include "engine/model/model.h"
#include "engine/model/router_rows.h"

namespace potluck {

class ExpertPrefetch {
 public:
  ExpertPrefetch(const Model& model, const ComputeContext& compute)
      : model_(model),
        compute_(compute),
        hyper_(model.config(), compute),
        routed_(model.config().router) {}

  // `tokens` [rows] are those that were read; `residual` is [rows, streams * hidden], as layer
  // `layer`'s router saw it before the norm. Afterwards experts() is empty if there is nothing to
  // predict: no router in the next layer.
  void run(uint32_t layer, std::span<const TokenId> tokens, const float* residual);
  void clear() { experts_.clear(); }

  // Of all rows together: each once, ascending.
  std::span<const uint32_t> experts() const { return experts_; }

 private:
  void look_up(const TokenExperts& table, std::span<const TokenId> tokens);
  void guess(const LayerWeights& next, uint32_t rows, const float* residual);
  void mark_chosen();
  void name_marked();

  const Model& model_;
  ComputeContext compute_;
  HyperConnections hyper_;     // of the next layer
  std::vector<float> inputs_;  // [rows, hidden]: what its feed-forward part would read
  ActivationRows normed_;      // [rows, hidden]
  RouterRows routed_;
  std::vector<uint8_t> is_chosen_;  // [experts]
  std::vector<uint32_t> experts_;
};

}  // namespace potluck
