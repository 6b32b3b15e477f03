// StreamedExperts: the experts of a model that does not fit into memory, on one machine, behind a
// cache of the size that was asked for. They come from the model file itself, laid out as they are
// read, or from a store: a second copy on disk, laid out once. A store is used where one was asked
// for, which is then built at the first use, or where a complete one is there already; what is
// damaged in it is cut from the model file again. One thread.
#pragma once

#include <memory>
#include <string>

#include "engine/base/block_reader.h"
#include "engine/base/log_sink.h"
#include "engine/base/thread_pool.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/laid_out_file.h"
#include "engine/experts/mended_source.h"
#include "engine/experts/stored_source.h"
#include "engine/experts/want.h"
#include "engine/model/model.h"

namespace potluck {

struct StreamOptions {
  std::string store_directory;
  bool store_wanted = false;  // else the store is used if it is there and complete
  uint64_t ram_bytes = 0;
  ReaderSettings reader;
  ReadAhead read_ahead = ReadAhead::kSure;
  LogSink* log = nullptr;  // must outlive the experts; or null
  std::string reason{};  // why they are streamed though --ram was not given, to be logged; or empty
};

class StreamedExperts {
 public:
  // All must outlive the object. Of a store, builds what it does not have yet; an interrupted build
  // goes on where it stopped. kLimit with the bytes that are missing when the disk cannot take it.
  static Result<std::unique_ptr<StreamedExperts>> open(const Model& model,
                                                       const StreamOptions& options,
                                                       ThreadPool& threads, Storage& storage,
                                                       const Clock& clock,
                                                       const Progress& progress);

  GrainSource& source() { return *source_; }
  const StoredSource& stored() const { return *stored_; }
  StoredSource& stored() { return *stored_; }
  bool from_store() const { return store_ != nullptr; }

 private:
  StreamedExperts() = default;
  Status build(const Model& model, const StreamOptions& options, ThreadPool& threads,
               Storage& storage, const Progress& progress);
  Status open_store(const Model& model, const StreamOptions& options, const Clock& clock);
  Status open_file(const Model& model, const StreamOptions& options, ThreadPool& threads,
                   Storage& storage, const Clock& clock);

  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<Manifest> manifest_;
  std::unique_ptr<LaidOutFile> file_;  // without a store
  std::unique_ptr<EntryOrigin> origin_;
  std::unique_ptr<StoredSource> stored_;
  std::unique_ptr<MendedSource> mended_;  // with a store
  GrainSource* source_ = nullptr;
};

}  // namespace potluck
