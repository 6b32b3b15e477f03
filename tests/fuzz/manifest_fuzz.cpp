// Any bytes as a manifest: an error, or a manifest that writes back the same bytes and answers for
// every grain it names.
#include "engine/base/check.h"
#include "engine/experts/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace potluck;
  ByteSpan bytes = std::as_bytes(std::span(data, size));
  Result<Manifest> manifest = Manifest::decode(bytes);
  if (!manifest) return 0;
  ByteVector again = manifest->encode();
  CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  uint64_t total = 0;
  for (const ManifestLayer& layer : manifest->layers()) {
    for (uint32_t i = 0; i < layer.grains.size(); ++i) {
      GrainId id{static_cast<uint16_t>(layer.layer), static_cast<uint16_t>(i / layer.plan.grains),
                 static_cast<uint16_t>(i % layer.plan.grains)};
      CHECK(manifest->contains(id) && manifest->digest_of(id) == layer.grains[i]);
      CHECK(manifest->grain_bytes(id) <= manifest->largest_grain_bytes());
      total += manifest->grain_bytes(id);
    }
  }
  CHECK(total == manifest->total_bytes());
  return 0;
}
