// LayerRecords: the digests of a model's grains, as far as they are known, on disk, so that its
// weights are cut and hashed once and an interrupted run goes on. One small file per layer, under
// the fingerprint of the model file. What is read back is checked: its length, and its own digest.
// One thread.
//
//   DIR/FINGERPRINT/layer-7    the digests, expert by expert, then the SHA-256 of all that
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/storage.h"

namespace potluck {

class LayerRecords {
 public:
  // `storage` must outlive the object.
  LayerRecords(Storage& storage, const std::string& directory, const Digest& fingerprint);

  // The layer's digests if there are exactly `grains` of them; nothing if they were not recorded,
  // or not completely.
  std::optional<std::vector<Digest>> load(uint32_t layer, size_t grains) const;
  Status save(uint32_t layer, std::span<const Digest> digests);

 private:
  std::string path_of(uint32_t layer) const;

  Storage& storage_;
  std::string directory_;
};

}  // namespace potluck
