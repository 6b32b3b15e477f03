// LayerObserver: sees the residual of every token row as it passes through the layers. For tools
// that look for the place at which two runs part; without one, nothing is called. Called by the
// thread that owns the forward step.
#pragma once

#include <cstdint>
#include <span>

namespace potluck {

// Where in a layer the residual is looked at.
enum class ResidualPoint : uint8_t {
  kEmbedding,  // before layer 0
  kMixer,      // after attention, or what stands in its place
  kLayer,      // after the feed-forward part or the experts
};

class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  // Rows come in order of position within a layer and point. In the last layer only rows whose
  // logits are wanted are computed, and seen.
  virtual void on_residual(uint32_t layer, ResidualPoint point, uint32_t position,
                           std::span<const float> residual) = 0;
};

}  // namespace potluck
