#include "engine/experts/prefetch_gate.h"

namespace potluck {

PrefetchGate::Layer& PrefetchGate::at(uint32_t layer) {
  if (layer >= layers_.size()) layers_.resize(layer + size_t{1});
  return layers_[layer];
}

void PrefetchGate::begin_wave(uint32_t layer) {
  Layer& entry = at(layer);
  if (entry.rest > 0) --entry.rest;
}

bool PrefetchGate::open(uint32_t layer) const {
  return layer >= layers_.size() || layers_[layer].rest == 0;
}

void PrefetchGate::used(uint32_t layer) {
  Layer& entry = at(layer);
  ++entry.used;
  judge(entry);
}

void PrefetchGate::wasted(uint32_t layer) {
  Layer& entry = at(layer);
  ++entry.wasted;
  judge(entry);
}

// Older outcomes are halved again and again, so the judgment follows the text.
void PrefetchGate::judge(Layer& layer) {
  uint32_t outcomes = layer.used + layer.wasted;
  if (outcomes < kSample) return;
  if (layer.used < kLeastUsed * outcomes) {
    // Counted anew after the rest: what the old text did says nothing about the new one.
    layer = {0, 0, kRest};
    return;
  }
  if (outcomes >= 2 * kSample) {
    layer.used /= 2;
    layer.wasted /= 2;
  }
}

}  // namespace potluck
