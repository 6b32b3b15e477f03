#include "engine/experts/stored_source.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace potluck {
namespace {

constexpr uint64_t kSlabAlignment = 4096;  // direct reads ask for it

// Memory for `slabs` slabs. Buffer aligns small blocks to 64 bytes only, so it asks for a little
// more and starts at the next multiple.
struct Arena {
  Arena(uint64_t slabs, uint64_t slab_bytes) : buffer(slabs * slab_bytes + kSlabAlignment) {
    auto address = reinterpret_cast<uintptr_t>(buffer.data());
    begin = buffer.data() + (round_up<uintptr_t>(address, kSlabAlignment) - address);
  }
  Buffer buffer;
  std::byte* begin;
};

// The place of one grain. Views hold it by its shared_ptr: it is free to be overwritten when the
// source's own reference is the last.
struct Slab {
  std::shared_ptr<Arena> arena;
  std::byte* data;
  uint64_t grain_bytes = 0;

  ByteSpan grain() const { return {data, grain_bytes}; }
};

}  // namespace

struct StoredSource::State {
  State(const Manifest& from, GrainStore& grains, uint64_t budget, uint64_t slab, uint64_t count);

  bool in_use(uint32_t slab) const { return slabs[slab].use_count() > 1; }
  Result<uint32_t> take_slab(const Digest& digest);
  Status fill(uint32_t slab, GrainId id);
  void release(const Digest& digest);

  const Manifest& manifest;
  GrainStore& store;
  uint64_t budget_bytes;
  uint64_t slab_bytes;
  CachePolicy policy;
  std::optional<uint16_t> layer;  // of the last grain asked for
  std::vector<std::shared_ptr<Slab>> slabs;
  std::vector<uint32_t> vacant;
  std::unordered_map<Digest, uint32_t> slab_of;
  CacheStatistics statistics;
};

StoredSource::State::State(const Manifest& from, GrainStore& grains, uint64_t budget, uint64_t slab,
                           uint64_t count)
    : manifest(from), store(grains), budget_bytes(budget), slab_bytes(slab), policy(count) {
  if (count == 0) return;
  auto arena = std::make_shared<Arena>(count, slab);
  for (uint64_t i = 0; i < count; ++i) {
    slabs.push_back(std::make_shared<Slab>(Slab{arena, arena->begin + i * slab}));
  }
  for (uint64_t i = count; i > 0; --i) vacant.push_back(static_cast<uint32_t>(i - 1));
}

// Takes the grain into the policy and returns the slab it goes to: a vacant one, or that of the
// coldest grain that nobody views.
Result<uint32_t> StoredSource::State::take_slab(const Digest& digest) {
  if (vacant.empty()) {
    auto victim =
        policy.victim(false, [this](const Digest& cached) { return !in_use(slab_of.at(cached)); });
    if (!victim) {
      return Error{
          ErrorCode::kLimit,
          fmt::format("the cache of {} bytes holds {} grains of up to {} bytes, all in use",
                      budget_bytes, slabs.size(), slab_bytes)};
    }
    release(*victim);
  }
  policy.admit(digest, false);
  uint32_t slab = vacant.back();
  vacant.pop_back();
  slab_of[digest] = slab;
  return slab;
}

Status StoredSource::State::fill(uint32_t slab, GrainId id) {
  Slab& place = *slabs[slab];
  place.grain_bytes = manifest.grain_bytes(id);
  ++statistics.misses;
  Status read = store.read(manifest.digest_of(id), {place.data, place.grain_bytes});
  if (read) {
    statistics.disk_bytes += place.grain_bytes;
  } else if (read.error().code == ErrorCode::kCorrupt) {
    ++statistics.corrupt_grains;
  }
  return read;
}

void StoredSource::State::release(const Digest& digest) {
  vacant.push_back(slab_of.at(digest));
  slab_of.erase(digest);
  policy.erase(digest);
}

StoredSource::StoredSource(const Manifest& manifest, GrainStore& store, uint64_t budget_bytes) {
  uint64_t grains = 0;
  for (const ManifestLayer& layer : manifest.layers()) grains += layer.grains.size();
  uint64_t slab_bytes = std::max(manifest.largest_grain_bytes(), kSlabAlignment);
  uint64_t count = std::min(budget_bytes / slab_bytes, grains);
  state_ = std::make_unique<State>(manifest, store, budget_bytes, slab_bytes, count);
}

StoredSource::~StoredSource() = default;

Result<GrainView> StoredSource::get(GrainId id) {
  State& state = *state_;
  if (!state.manifest.contains(id)) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("the manifest has no grain {} of expert {} in layer {}", id.grain,
                             id.expert, id.layer)};
  }
  if (state.layer != id.layer) state.policy.begin_step(id.layer);
  state.layer = id.layer;
  const Digest& digest = state.manifest.digest_of(id);
  if (auto cached = state.slab_of.find(digest); cached != state.slab_of.end()) {
    state.policy.touch(digest);
    ++state.statistics.hits;
    const std::shared_ptr<Slab>& slab = state.slabs[cached->second];
    return GrainView{slab->grain(), slab};
  }
  if (!state.store.contains(digest)) {  // known without giving up another grain's place
    return Error{ErrorCode::kNotFound, fmt::format("grain {}: not in the store", digest.hex())};
  }
  auto slab = state.take_slab(digest);
  if (!slab) return slab.error();
  if (Status filled = state.fill(*slab, id); !filled) {
    state.release(digest);
    return filled.error();
  }
  const std::shared_ptr<Slab>& place = state.slabs[*slab];
  return GrainView{place->grain(), place};
}

const CacheStatistics& StoredSource::statistics() const {
  return state_->statistics;
}

uint64_t StoredSource::resident_bytes() const {
  return (state_->slabs.size() - state_->vacant.size()) * state_->slab_bytes;
}

}  // namespace potluck
