// StoredSource: the worker's grains: a store on disk behind a bounded cache in memory. The budget
// is kept: memory is one arena cut into slabs, each as large as the manifest's largest grain, so a
// smaller grain leaves the rest of its slab unused. One thread.
#pragma once

#include <memory>
#include <vector>

#include "engine/experts/cache_policy.h"
#include "engine/experts/grain_source.h"
#include "engine/experts/grain_store.h"

namespace potluck {

struct CacheStatistics {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t disk_bytes = 0;
  uint64_t corrupt_grains = 0;  // found altered on disk
};

class StoredSource final : public GrainSource {
 public:
  // `manifest` and `store` must outlive the source. The budget holds budget / slab bytes grains;
  // less than one slab per thread leaves threads without work, less than one slab makes every get()
  // fail with kLimit, and less than what one token needs gets a hit rate of zero.
  StoredSource(const Manifest& manifest, GrainStore& store, uint64_t budget_bytes);
  ~StoredSource() override;

  // kNotFound or kCorrupt when the store cannot give the grain: fetch it again, then ask again. A
  // grain whose view is alive stays where it is; kLimit when all slabs are held so.
  Result<GrainView> get(GrainId id) override;

  const CacheStatistics& statistics() const;
  uint64_t resident_bytes() const;  // slabs in use; never more than the budget

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace potluck
