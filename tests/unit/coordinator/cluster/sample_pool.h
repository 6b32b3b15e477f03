// What tests of the coordinator share: peers with readable keys, and manifests without a model.
// Plain functions; any thread.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/log_sink.h"
#include "engine/experts/manifest.h"
#include "protocol/keys.h"

namespace potluck::test {

// Peer 1, 2, ..; their keys are in this order.
inline PeerKey peer(uint8_t number) {
  PeerKey key;
  key.bytes.fill(0x40);
  key.bytes[0] = number;
  return key;
}

inline Digest sample_digest(uint64_t number) {
  Digest digest;
  std::memcpy(digest.bytes.data(), &number, sizeof number);
  return digest;
}

// `layers` layers (every second number) of `experts` experts, with 8 grains each (9 where the width
// is not a multiple of 256).
inline Manifest sample_manifest(uint32_t layers, uint32_t experts, uint32_t hidden = 64,
                                uint32_t width = 256) {
  std::vector<ManifestLayer> list;
  uint64_t number = 1;
  for (uint32_t i = 0; i < layers; ++i) {
    ManifestLayer layer;
    layer.layer = 2 * i;
    layer.experts = experts;
    layer.shape.hidden = hidden;
    layer.shape.width = width;
    layer.plan = plan_chunks(layer.shape);
    for (uint32_t g = 0; g < experts * layer.plan.grains; ++g) {
      layer.grains.push_back(sample_digest(number++));
    }
    list.push_back(std::move(layer));
  }
  return Manifest("sample", std::move(list));
}

inline bool any_contains(const std::vector<LogEvent>& events, const std::string& part) {
  return std::any_of(events.begin(), events.end(), [&part](const LogEvent& event) {
    return event.message.find(part) != std::string::npos;
  });
}

inline bool any_contains(const std::vector<std::string>& texts, const std::string& part) {
  for (const std::string& text : texts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace potluck::test
