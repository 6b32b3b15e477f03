#include "worker/store_room.h"

#include <algorithm>

namespace potluck {
namespace {

// The order in which grains go; pools that are away come after these, each with a rank of its own.
constexpr uint32_t kUnnamed = 0;
constexpr uint32_t kJoined = 1;
constexpr uint32_t kAway = 2;

// The grains of the store that are not needed, by when they go.
class IdleGrains {
 public:
  // `needed` as in StoreClaims, sorted.
  IdleGrains(const GrainStore& store, const std::vector<uint64_t>& needed) {
    for (const Digest& digest : store.digests()) {
      if (std::binary_search(needed.begin(), needed.end(), std::hash<Digest>{}(digest))) continue;
      grains_.push_back({digest, kUnnamed});
    }
    for (uint32_t i = 0; i < grains_.size(); ++i) by_digest_.push_back(i);
    std::sort(by_digest_.begin(), by_digest_.end(),
              [this](uint32_t a, uint32_t b) { return grains_[a].digest < grains_[b].digest; });
  }

  bool empty() const { return grains_.empty(); }

  // Manifests have to come by rising rank: a grain that several of them name goes with the last.
  void name(const Manifest& manifest, uint32_t rank) {
    for (const ManifestLayer& layer : manifest.layers()) {
      for (const Digest& digest : layer.grains) {
        if (Grain* grain = find(digest)) grain->rank = rank;
      }
    }
  }

  // Removes from the store what has at most this rank until there is enough room.
  template <class Enough>
  bool remove(uint32_t most, GrainStore& store, const Enough& enough) {
    // Those of one rank in the order in which they lie: what takes their place is then together on
    // the disk as well, and read by few requests.
    std::stable_sort(grains_.begin(), grains_.end(),
                     [](const Grain& a, const Grain& b) { return a.rank < b.rank; });
    for (const Grain& grain : grains_) {
      if (grain.rank > most) return false;
      store.remove(grain.digest);
      if (enough()) return true;
    }
    return false;
  }

 private:
  struct Grain {
    Digest digest;
    uint32_t rank;
  };

  Grain* find(const Digest& digest) {
    auto found = std::lower_bound(
        by_digest_.begin(), by_digest_.end(), digest,
        [this](uint32_t index, const Digest& name) { return grains_[index].digest < name; });
    if (found == by_digest_.end() || grains_[*found].digest != digest) return nullptr;
    return &grains_[*found];
  }

  std::vector<Grain> grains_;        // until remove(), in the order in which they lie
  std::vector<uint32_t> by_digest_;  // into grains_
};

// One after the other, since a manifest may have tens of megabytes. What cannot be read names
// nothing; who signed it does not matter for an order.
void name_away(const StoreClaims& claims, IdleGrains* idle) {
  if (claims.manifests == nullptr) return;
  std::vector<Digest> names = claims.manifests->names();
  uint32_t rank = kAway;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (claims.joined_names.contains(*name)) continue;
    Result<SignedManifest> stored = claims.manifests->load(*name);
    if (!stored) continue;
    Result<Manifest> manifest = Manifest::decode(stored->body);
    if (manifest) idle->name(*manifest, rank++);
  }
}

}  // namespace

bool make_store_room(GrainStore& store, StoreClaims claims, uint64_t bytes) {
  auto enough = [&] { return bytes <= store.room_bytes(); };
  if (enough()) return true;
  std::sort(claims.needed.begin(), claims.needed.end());
  IdleGrains idle(store, claims.needed);
  // As in a store that is full of what is needed, and is asked again and again: no manifest is read
  // for it.
  if (idle.empty()) return false;
  for (const Manifest* manifest : claims.joined) idle.name(*manifest, kJoined);
  name_away(claims, &idle);
  return idle.remove(claims.keep_away ? kJoined : UINT32_MAX, store, enough);
}

}  // namespace potluck
