#include "engine/experts/store_origin.h"

namespace potluck {

EntryPart StoreOrigin::part_of(GrainId id) const {
  uint64_t bytes = manifest_.grain_bytes(id);
  return {manifest_.digest_of(id), bytes, 0, bytes};
}

uint64_t StoreOrigin::entries() const {
  uint64_t grains = 0;
  for (const ManifestLayer& layer : manifest_.layers()) grains += layer.grains.size();
  return grains;
}

Result<EntryPlace> StoreOrigin::find(GrainId id) {
  const Digest& digest = manifest_.digest_of(id);
  Result<GrainPlace> place = store_.find(digest);
  if (!place) return place.error();
  uint64_t wanted = manifest_.grain_bytes(id);
  if (place->bytes != wanted) return other_length(digest, place->bytes, wanted);
  return EntryPlace{place->file, place->offset, place->bytes, place->bytes};
}

}  // namespace potluck
