// Writes valid manifests into the folder it is given: where the fuzz target of manifests starts.
#include <cstdio>

#include "engine/base/storage.h"
#include "engine/experts/manifest.h"

namespace potluck {
namespace {

ManifestLayer make_layer(uint32_t layer, uint32_t experts, const ExpertShape& shape) {
  ManifestLayer made{layer, experts, shape, {}, {}};
  made.grains.resize(uint64_t{experts} * plan_chunks(shape).grains);
  return made;
}

Status write_seeds(Storage& storage, const std::string& folder) {
  using T = TensorType;
  const ExpertShape quantized{256, 768, T::kQ4_K, T::kQ8_0, T::kQ6_K, false, {}};
  const ExpertShape floats{48, 40, T::kF32, T::kF16, T::kBF16, true, {}};
  const Manifest seeds[] = {
      Manifest("none", {}),
      Manifest("one", {make_layer(0, 1, floats)}),
      Manifest("two", {make_layer(1, 2, quantized), make_layer(4, 3, floats)}),
  };
  for (const Manifest& seed : seeds) {
    Status written = storage.write_atomic(folder + "/" + seed.model_name(), seed.encode());
    if (!written) return written;
  }
  return {};
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_manifest_seeds FOLDER\n");
    return 2;
  }
  auto storage = potluck::make_system_storage();
  potluck::Status written = potluck::write_seeds(*storage, argv[1]);
  if (written) return 0;
  std::fprintf(stderr, "%s\n", written.error().message.c_str());
  return 1;
}
