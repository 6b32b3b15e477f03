// StoreOrigin: grains of a store, named by their digests.
#pragma once

#include "engine/experts/entry_origin.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/manifest.h"

namespace potluck {

class StoreOrigin final : public EntryOrigin {
 public:
  // Both must outlive it.
  StoreOrigin(const Manifest& manifest, GrainStore& store) : manifest_(manifest), store_(store) {}

  bool contains(GrainId id) const override { return manifest_.contains(id); }
  EntryPart part_of(GrainId id) const override;
  uint64_t entries() const override;
  uint64_t largest_entry_bytes() const override { return manifest_.largest_grain_bytes(); }
  bool has(GrainId id) const override { return store_.contains(manifest_.digest_of(id)); }
  Result<EntryPlace> find(GrainId id) override;
  Status verify(const Digest& entry, ByteSpan bytes) override {
    return store_.verify(entry, bytes);
  }

 private:
  const Manifest& manifest_;
  GrainStore& store_;
};

}  // namespace potluck
