// ManifestBuilder: cuts every expert of a model once, hashes its grains and, on a machine that will
// read them from disk, puts them into a store. Finished layers are recorded, so that an interrupted
// run goes on where it stopped, and later starts read no weights at all. One thread, and its pool.
#pragma once

#include <string>

#include "engine/base/thread_pool.h"
#include "engine/experts/grain_cutter.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/layer_records.h"

namespace potluck {

class ManifestBuilder {
 public:
  // Cutter and pool must outlive the builder, as must `store` and `records`; either may be null:
  // then grains are only hashed, or nothing is remembered.
  ManifestBuilder(const GrainCutter& cutter, ThreadPool& pool, GrainStore* store,
                  LayerRecords* records)
      : cutter_(cutter), pool_(pool), store_(store), records_(records) {}

  // An error leaves what was done until then; the next run goes on from there. kLimit: the store's
  // quota or its disk is full.
  Result<Manifest> build(const std::string& model_name, const Progress& progress);

 private:
  struct CutExpert;
  Status build_layer(const ExpertBank& bank, const Progress& progress, ManifestLayer* layer);
  bool complete(const ManifestLayer& layer, uint32_t expert) const;
  Status cut(uint32_t layer, std::span<CutExpert> experts);
  Status take(const CutExpert& expert, ManifestLayer* layer);

  const GrainCutter& cutter_;
  ThreadPool& pool_;
  GrainStore* store_;
  LayerRecords* records_;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

// A manifest of a model at hand, hashed in the caller's thread.
Result<Manifest> build_manifest(const GrainCutter& cutter, const std::string& model_name,
                                const Progress& progress = {});

}  // namespace potluck
