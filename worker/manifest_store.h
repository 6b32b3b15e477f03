// ManifestStore: signed manifests on disk, beside the grains, so that a restart fetches nothing.
// What is read back is as little trusted as what comes over the wire: the caller verifies it. Names
// are digests. What lies there counts against the disk quota; the owner removes what no pool uses.
// One thread.
//
//   DIR/manifests/HEX    64 bytes signature, then the manifest's bytes
#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine/base/storage.h"
#include "engine/experts/manifest.h"

namespace potluck {

class ManifestStore {
 public:
  // `storage` must outlive the object. The directory is the grain store's, which creates it.
  ManifestStore(Storage& storage, const std::string& store_directory)
      : storage_(storage), directory_(store_directory + "/manifests") {}

  // kNotFound when there is none; kCorrupt when its bytes do not have this digest.
  Result<SignedManifest> load(const Digest& digest) const;
  Status save(const Digest& digest, const SignedManifest& manifest);
  // Of all manifests there, the newest first.
  std::vector<Digest> names() const;
  // Bytes of all files there.
  uint64_t bytes() const;
  // Removes all but those in `used` and the `spare` newest others, which a pool that is away for
  // now may ask for.
  void remove_unused(const std::set<Digest>& used, size_t spare);

 private:
  std::string path_of(const Digest& digest) const { return directory_ + "/" + digest.hex(); }

  Storage& storage_;
  std::string directory_;
};

}  // namespace potluck
