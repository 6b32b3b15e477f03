// StreamedExperts: the experts of a model that does not fit into memory, on one machine: a store on
// disk, built from the model file at the first use, behind a cache of the size that was asked for.
// Later uses find the store as it is; what is damaged in it is cut from the model file again. One
// thread.
#pragma once

#include <memory>
#include <string>

#include "engine/base/block_reader.h"
#include "engine/base/log_sink.h"
#include "engine/base/thread_pool.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/mended_source.h"
#include "engine/experts/stored_source.h"
#include "engine/experts/want.h"
#include "engine/model/model.h"

namespace potluck {

struct StreamOptions {
  std::string store_directory;
  uint64_t ram_bytes = 0;
  ReaderSettings reader;
  ReadAhead read_ahead = ReadAhead::kSure;
  LogSink* log = nullptr;      // must outlive the experts; or null
  std::string announcement{};  // to be logged before a long build; or empty
};

class StreamedExperts {
 public:
  // All must outlive the object. Builds what the store does not have yet; an interrupted build goes
  // on where it stopped. kLimit with the bytes that are missing when the disk cannot take it.
  static Result<std::unique_ptr<StreamedExperts>> open(const Model& model,
                                                       const StreamOptions& options,
                                                       ThreadPool& threads, Storage& storage,
                                                       const Clock& clock,
                                                       const Progress& progress);

  GrainSource& source() { return *source_; }
  const StoredSource& stored() const { return *stored_; }
  StoredSource& stored() { return *stored_; }

 private:
  StreamedExperts() = default;
  Status build(const Model& model, const StreamOptions& options, ThreadPool& threads,
               Storage& storage, const Progress& progress);
  Status open_source(const Model& model, const StreamOptions& options, const Clock& clock);

  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<Manifest> manifest_;
  std::unique_ptr<StoredSource> stored_;
  std::unique_ptr<MendedSource> source_;
};

}  // namespace potluck
