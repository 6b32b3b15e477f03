// Manifests that a coordinator may announce: true ones, unsigned ones, some that contradict
// themselves or the manifests of other pools, and very large ones. Plain values, made once for all
// sessions; any thread.
#pragma once

#include <vector>

#include "engine/experts/manifest.h"

namespace potluck::sim {

struct ManifestOffer {
  Manifest manifest;
  SignedManifest sent;  // the signature is missing where that is the point
  Digest name;          // of what is sent
};

// The first one is `real` itself. `key` signs them.
std::vector<ManifestOffer> manifest_offers(const Manifest& real, const SigningKey& key);

}  // namespace potluck::sim
