#include "tests/sim/manifest_offers.h"

#include <algorithm>

#include "engine/base/limits.h"
#include "engine/base/random.h"

namespace potluck::sim {
namespace {

// Grains of this shape are far longer than those of the small model: about 100 KiB.
constexpr ExpertShape kWide{512,   512, TensorType::kQ8_0, TensorType::kQ8_0, TensorType::kQ8_0,
                            false, {}};

std::vector<Digest> made_up_digests(size_t count) {
  SeededEntropy entropy(count);
  std::vector<Digest> digests(count);
  for (Digest& digest : digests) entropy.fill(std::as_writable_bytes(std::span(digest.bytes)));
  return digests;
}

ManifestLayer wide_layer(uint32_t number, uint32_t experts) {
  return {number, experts, kWide, {}, made_up_digests(size_t{experts} * plan_chunks(kWide).grains)};
}

std::vector<ManifestLayer> layers_of(const Manifest& manifest) {
  return {manifest.layers().begin(), manifest.layers().end()};
}

// A digest of its first layer again in a layer whose grains are longer: every reader that believed
// it would read past the end of what lies in the store.
std::vector<ManifestLayer> contradictory(const Manifest& real) {
  std::vector<ManifestLayer> layers = layers_of(real);
  layers.push_back(wide_layer(layers.back().layer + 1, 1));
  layers.back().grains.front() = layers.front().grains.front();
  return layers;
}

// True to itself, but it names grains of the real model and gives them another length.
std::vector<ManifestLayer> borrowed(const Manifest& real) {
  ManifestLayer layer = wide_layer(0, 4);
  const std::vector<Digest>& grains = real.layers().front().grains;
  for (size_t i = 0; i < layer.grains.size(); ++i) layer.grains[i] = grains[i % grains.size()];
  return {layer};
}

std::vector<ManifestLayer> one_grain_everywhere(const Manifest& real) {
  ManifestLayer layer = real.layers().front();
  std::fill(layer.grains.begin(), layer.grains.end(), layer.grains.front());
  return {layer};
}

}  // namespace

std::vector<ManifestOffer> manifest_offers(const Manifest& real, const SigningKey& key) {
  std::vector<ManifestOffer> offers;
  auto offer = [&](std::string name, std::vector<ManifestLayer> layers, bool sign = true) {
    Manifest manifest(std::move(name), std::move(layers));
    SignedManifest sent = sign_manifest(manifest, key);
    if (!sign) sent.signature = {};
    Digest digest = sha256(sent.body);
    offers.push_back({std::move(manifest), std::move(sent), digest});
  };
  offer(real.model_name(), layers_of(real));
  offer("unsigned", layers_of(real), false);
  offer("part", {real.layers().front()});
  offer("contradictory", contradictory(real));
  offer("borrowed", borrowed(real));
  offer("one grain", one_grain_everywhere(real));
  offer("nothing", {});
  // 1 MiB: what a worker takes, and must make room for.
  offer("large", {wide_layer(0, 8), wide_layer(limits::kLayers - 1, limits::kExperts)});
  // 16 MiB: more than a worker with little memory takes.
  std::vector<ManifestLayer> layers;
  for (uint32_t i = 0; i < 16; ++i) layers.push_back(wide_layer(i, limits::kExperts));
  offer("huge", std::move(layers));
  return offers;
}

}  // namespace potluck::sim
