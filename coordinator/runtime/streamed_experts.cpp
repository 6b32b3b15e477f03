#include "coordinator/runtime/streamed_experts.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "engine/base/disk_probe.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "engine/experts/manifest_builder.h"
#include "engine/experts/working_set.h"

namespace potluck {
namespace {

// A cache of less than one token's experts is not an error: it works, as slowly as the disk is.
Status check_budget(const Manifest& manifest, uint32_t top_k, const StreamOptions& options) {
  uint64_t needed = working_set(manifest, top_k, 1, 1).slab_bytes(manifest);
  if (options.ram_bytes < manifest.largest_grain_bytes()) {
    return Error{ErrorCode::kLimit,
                 fmt::format("--ram: {} are not enough for any part of an expert ({}); the experts "
                             "of one token take {}",
                             format_bytes(options.ram_bytes),
                             format_bytes(manifest.largest_grain_bytes()), format_bytes(needed))};
  }
  if (options.ram_bytes >= needed) return {};
  std::string text = fmt::format(
      "--ram: {} hold less than the {} of experts that one token uses, so every expert is read "
      "from disk every time; with more than that, some stay in memory",
      format_bytes(options.ram_bytes), format_bytes(needed));
  log_to(options.log, {LogLevel::kWarning,
                       kStoreComponent,
                       std::move(text),
                       {{"ram_bytes", options.ram_bytes}, {"bytes_per_token", needed}}});
  return {};
}

// The directory itself, or the one above it that exists.
std::string existing_directory(Storage& storage, const std::string& directory) {
  std::filesystem::path path(directory);
  while (!storage.exists(path.string())) {
    if (!path.has_parent_path() || path.parent_path() == path) return ".";
    path = path.parent_path();
  }
  return path.string();
}

// Before a long build that would not come to its end. What a store already holds counts as parts of
// this model: a store of several models may find out later.
Status check_room(const GrainCutter& cutter, uint64_t used_bytes, Storage& storage,
                  const std::string& directory) {
  uint64_t total = cutter.total_bytes();
  uint64_t missing = total - std::min(total, used_bytes);
  auto available = storage.free_bytes(existing_directory(storage, directory));
  if (!available) return available.error();
  uint64_t usable = *available - std::min(*available, limits::kDiskReserveBytes);
  if (missing <= usable) return {};
  return Error{
      ErrorCode::kLimit,
      fmt::format("--store: {} has room for {}, the experts need {} more; name a directory "
                  "on a larger disk",
                  directory, format_bytes(usable), format_bytes(missing))};
}

}  // namespace

Result<std::unique_ptr<StreamedExperts>> StreamedExperts::open(const Model& model,
                                                               const StreamOptions& options,
                                                               ThreadPool& threads,
                                                               Storage& storage, const Clock& clock,
                                                               const Progress& progress) {
  std::unique_ptr<StreamedExperts> experts(new StreamedExperts());
  Status built = experts->build(model, options, threads, storage, progress);
  if (!built) return built.error();
  Status enough = check_budget(*experts->manifest_, model.config().router.top_k, options);
  if (!enough) return enough.error();
  if (Status opened = experts->open_source(model, options, clock); !opened) {
    return opened.error();
  }
  return experts;
}

Status StreamedExperts::build(const Model& model, const StreamOptions& options, ThreadPool& threads,
                              Storage& storage, const Progress& progress) {
  // Asked before the store is opened, which makes files: of a store that is refused nothing is left
  // behind.
  if (!storage.exists(options.store_directory)) {
    Status room = check_room(model.cutter(), 0, storage, options.store_directory);
    if (!room) return room;
  }
  // Without a quota: the model has a known size, and check_room() compares it with the disk.
  auto store = GrainStore::open(storage, options.store_directory, UINT64_MAX);
  if (!store) return store.error().in("--store");
  store_ = std::move(*store);
  for (const LogEvent& event : store_->take_notices()) log_to(options.log, event);
  Status room = check_room(model.cutter(), store_->used_bytes(), storage, options.store_directory);
  if (!room) return room;
  if (!options.announcement.empty()) {
    log_to(options.log, {LogLevel::kInfo, kStoreComponent, options.announcement});
  }
  // Records belong to one state of the file: after a change the experts are cut and hashed anew.
  auto fingerprint = model.file().fingerprint();
  if (!fingerprint) return fingerprint.error();
  LayerRecords records(storage, options.store_directory + "/layers", *fingerprint);
  ManifestBuilder builder(model.cutter(), threads, store_.get(), &records);
  auto manifest = builder.build(model.config().name, progress);
  if (!manifest) return manifest.error().in("building the store");
  manifest_ = std::make_unique<Manifest>(std::move(*manifest));
  return {};
}

// The depth of the reader is measured on the store itself: another directory may be on another
// disk.
Status StreamedExperts::open_source(const Model& model, const StreamOptions& options,
                                    const Clock& clock) {
  auto reader =
      open_fitted_reader(options.reader, store_->sample_file(), StoredSource::kReadBytes, clock);
  if (!reader) return reader.error().in("--reader");
  stored_ =
      std::make_unique<StoredSource>(*manifest_, *store_, std::move(*reader), clock,
                                     // The model is larger than the cache: all of it will be used.
                                     StoredSourceOptions{.budget_bytes = options.ram_bytes,
                                                         .read_ahead = options.read_ahead,
                                                         .prefault_bytes = options.ram_bytes});
  source_ =
      std::make_unique<MendedSource>(*stored_, *store_, *manifest_, model.cutter(), options.log);
  return {};
}

}  // namespace potluck
