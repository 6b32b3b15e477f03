// StoredSource: the grains of one model on disk, in a store or in the model file itself
// (entry_origin.h), behind a bounded cache in memory. The budget is kept: memory is one arena cut
// into slabs, each as large as the largest entry, so a smaller one leaves the rest of its slab
// unused.
//
//   request(wave): what is in memory is ready at once; all reads that there is room for start
//                  together, neighbors on disk as one
//   take():        what has come since; waits for the disk only if that is nothing
//   prefetch():    grains of a later wave. Guesses are read while the disk has nothing else to do;
//                  what is needed soon queues behind the reads of this wave, so that the disk works
//                  while this wave is computed
//
// One thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/base/block_reader.h"
#include "engine/base/clock.h"
#include "engine/experts/cache_policy.h"
#include "engine/experts/entry_origin.h"
#include "engine/experts/grain_source.h"
#include "engine/experts/grain_store.h"

namespace potluck {

struct StoredSourceOptions {
  uint64_t budget_bytes = 0;
  // What prefetch() may read. Of guesses, layers where they do not pay are left out.
  ReadAhead read_ahead = ReadAhead::kAll;
  // How far ahead of the slabs in use their memory is prepared (engine/base/prefault.h); 0: not.
  uint64_t prefault_bytes = 0;
  // Neighbors on disk are read by one request up to this size; 0: kReadBytes.
  uint64_t read_bytes = 0;
};

class StoredSource final : public GrainSource {
 public:
  // How large such requests are where nothing was measured: enough for any disk's full rate, and
  // small enough that computing can start before much has come.
  static constexpr uint64_t kReadBytes = 1 * kMiB;

  // The references must outlive the source. The budget holds budget / slab bytes entries; less than
  // one slab makes every wave fail with kLimit, and less than what one token needs gets a hit rate
  // of zero.
  StoredSource(EntryOrigin& origin, std::unique_ptr<BlockReader> reader, const Clock& clock,
               const StoredSourceOptions& options);
  // From a store.
  StoredSource(const Manifest& manifest, GrainStore& store, std::unique_ptr<BlockReader> reader,
               const Clock& clock, const StoredSourceOptions& options);
  ~StoredSource() override;

  // kNotFound, kCorrupt or kIo when a grain cannot be had (of a store: fetch it again, then ask
  // again).
  // kInvalidArgument when it has another length there than the manifest says: the manifest is
  // wrong. A grain whose view is alive stays where it is; kLimit when all slabs are held so, or the
  // process has no descriptor or memory left to read with.
  void request(std::span<const GrainId> wave) override;
  Status take(std::vector<Arrival>* arrivals) override;

  struct Failure {
    size_t index;  // of the wave
    Error error;
  };
  // As take(), but the wave goes on without those grains that the store cannot give: each is named
  // once in `failures`, with the error that take() would return. At least one arrives or fails.
  Status take_each(std::vector<Arrival>* arrivals, std::vector<Failure>* failures);

  void prefetch(std::span<const GrainId> grains, Want want) override;
  ReadAhead read_ahead() const override;
  bool uses_disk() const override;

  // Of the budget no more than `bytes` is used from now on, but at least one slab: the coldest
  // grains go, and their memory back to the system. Views and reads under way stay; what they hold
  // beyond the limit goes when they are done. Nothing else changes: a higher limit later lets the
  // cache grow again.
  void set_limit(uint64_t bytes);

  // The grain that the last failed take() could not give.
  std::optional<GrainId> failed_grain() const;
  StoreCounters statistics() const;
  uint64_t resident_bytes() const;  // slabs in use; never more than the budget
  std::string_view reader_name() const;
  // Waits until the memory that is being prepared is ready.
  void wait_for_memory();

 private:
  struct State;
  std::unique_ptr<EntryOrigin> own_origin_;  // of a source that was made from a store
  std::unique_ptr<State> state_;
};

}  // namespace potluck
