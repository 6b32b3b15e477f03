// PrefetchGate: whether reading experts ahead of time pays, layer by layer, judged by what became
// of the prefetches so far. A layer whose prefetches are mostly wasted rests for a while and is
// then tried again, because texts change. Pure; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace potluck {

class PrefetchGate {
 public:
  // Outcomes before a layer is judged, and how many waves it rests when it was found wanting.
  static constexpr uint32_t kSample = 64;
  static constexpr uint32_t kRest = 512;
  // Below this share of prefetches used, reading them costs more than it brings: a wasted read
  // takes the place of nothing in idle time, but one under way makes the next demand wait for its
  // end.
  static constexpr double kLeastUsed = 0.4;

  // A wave of this layer begins: a resting layer comes closer to being tried again.
  void begin_wave(uint32_t layer);
  // Whether to prefetch for this layer.
  bool open(uint32_t layer) const;
  // A prefetched grain was wanted, or left the cache without having been.
  void used(uint32_t layer);
  void wasted(uint32_t layer);

 private:
  struct Layer {
    uint32_t used = 0;
    uint32_t wasted = 0;
    uint32_t rest = 0;  // waves
  };
  Layer& at(uint32_t layer);
  void judge(Layer& layer);

  std::vector<Layer> layers_;
};

}  // namespace potluck
