#include "coordinator/runtime/streamed_experts.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "engine/base/disk_probe.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "engine/experts/file_origin.h"
#include "engine/experts/laid_out_reader.h"
#include "engine/experts/lay_out_speed.h"
#include "engine/experts/manifest_builder.h"
#include "engine/experts/store_origin.h"
#include "engine/experts/working_set.h"

namespace potluck {
namespace {

// With so many pieces under way any disk is busy; each further one takes buffers from the cache.
constexpr uint32_t kMostDepth = 16;
// Of the memory for experts, what may be buffers of pieces on their way: one part of so many.
constexpr uint64_t kBufferShare = 16;
// For an estimate: SHA-256 on a processor that has instructions for it.
constexpr double kHashBytesPerSecond = 1.5e9;

// A cache of less than one token's experts is not an error: it works, as slowly as the disk is.
void warn_of_budget(uint64_t needed, const StreamOptions& options) {
  if (options.ram_bytes >= needed) return;
  std::string text = fmt::format(
      "--ram: {} hold less than the {} of experts that one token uses, so every expert is read "
      "from disk every time; with more than that, some stay in memory",
      format_bytes(options.ram_bytes), format_bytes(needed));
  log_to(options.log, {LogLevel::kWarning,
                       kStoreComponent,
                       std::move(text),
                       {{"ram_bytes", options.ram_bytes}, {"bytes_per_token", needed}}});
}

Status check_store_budget(const Manifest& manifest, uint32_t top_k, const StreamOptions& options) {
  uint64_t needed = working_set(manifest, top_k, 1, 1).slab_bytes(manifest);
  if (options.ram_bytes < manifest.largest_grain_bytes()) {
    return Error{ErrorCode::kLimit,
                 fmt::format("--ram: {} are not enough for any part of an expert ({}); the experts "
                             "of one token take {}",
                             format_bytes(options.ram_bytes),
                             format_bytes(manifest.largest_grain_bytes()), format_bytes(needed))};
  }
  warn_of_budget(needed, options);
  return {};
}

// Whole experts are read from the model file.
Status check_file_budget(const GrainCutter& cutter, uint64_t expert_bytes, uint32_t top_k,
                         const StreamOptions& options) {
  uint64_t needed = 0;
  for (const ExpertBank& bank : cutter.banks()) {
    needed += std::min(top_k, bank.experts) * expert_bytes;
  }
  if (options.ram_bytes < expert_bytes) {
    return Error{ErrorCode::kLimit,
                 fmt::format("--ram: {} are not enough for one expert ({}); the experts of one "
                             "token take {}. From a store (--store DIR), parts of experts can be "
                             "read",
                             format_bytes(options.ram_bytes), format_bytes(expert_bytes),
                             format_bytes(needed))};
  }
  warn_of_budget(needed, options);
  return {};
}

void announce(const StreamOptions& options, const std::string& place) {
  if (options.reason.empty()) return;
  log_to(options.log,
         {LogLevel::kInfo, kStoreComponent,
          fmt::format("{}: its experts are streamed from {} through a cache of {}; --ram chooses "
                      "another size, --store a place for a laid-out copy",
                      options.reason, place, format_bytes(options.ram_bytes))});
}

// Records belong to one state of the file: after a change the experts are cut and hashed anew.
Result<LayerRecords> records_in(const StreamOptions& options, const Model& model,
                                Storage& storage) {
  auto fingerprint = model.file().fingerprint();
  if (!fingerprint) return fingerprint.error();
  return LayerRecords(storage, options.store_directory + "/layers", *fingerprint);
}

// Whether there is a store to which all experts of this file were written.
Result<bool> store_is_complete(const StreamOptions& options, const Model& model, Storage& storage) {
  if (!storage.exists(options.store_directory)) return false;
  auto records = records_in(options, model, storage);
  if (!records) return records.error();
  for (const ExpertBank& bank : model.banks()) {
    size_t grains = size_t{bank.experts} * model.cutter().plan(bank.layer).grains;
    if (!records->load(bank.layer, grains)) return false;
  }
  return true;
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

// What a store would take: bytes, and seconds of reading, laying out, hashing and writing.
struct StoreCost {
  uint64_t bytes = 0;
  double seconds = 0;
};

StoreCost cost_of_store(const GrainCutter& cutter, double disk, double laying_out, double threads) {
  uint64_t bytes = cutter.total_bytes();
  double per_byte = 2 / disk + (1 / laying_out + 1 / kHashBytesPerSecond) / threads;
  return {bytes, static_cast<double>(bytes) * per_byte};
}

// Says so where this machine lays out too slowly for its disk. Rates are in bytes per second; 0:
// not known.
void advise_store(const StreamOptions& options, const GrainCutter& cutter, double disk,
                  double threads, const Clock& clock) {
  if (disk <= 0) return;
  double laying_out = measure_lay_out_speed(cutter, clock);
  if (laying_out <= 0 || disk <= copy_pays_from(laying_out, threads)) return;
  StoreCost cost = cost_of_store(cutter, disk, laying_out, threads);
  std::string text = fmt::format(
      "this machine lays out these experts at {:.1f} GB/s, its disk reads {:.1f}: from a store "
      "they "
      "would come faster. It takes {} of disk and about {:.0f} s to build: --store {}",
      laying_out * threads / 1e9, disk / 1e9, format_bytes(cost.bytes), cost.seconds,
      options.store_directory);
  log_to(options.log, {LogLevel::kInfo,
                       kStoreComponent,
                       std::move(text),
                       {{"store_bytes", cost.bytes},
                        {"disk_bytes_per_s", static_cast<uint64_t>(disk)},
                        {"laid_out_bytes_per_s", static_cast<uint64_t>(laying_out * threads)}}});
}

}  // namespace

Result<std::unique_ptr<StreamedExperts>> StreamedExperts::open(const Model& model,
                                                               const StreamOptions& options,
                                                               ThreadPool& threads,
                                                               Storage& storage, const Clock& clock,
                                                               const Progress& progress) {
  std::unique_ptr<StreamedExperts> experts(new StreamedExperts());
  bool store = options.store_wanted;
  if (!store) {
    auto complete = store_is_complete(options, model, storage);
    if (!complete) return complete.error();
    store = *complete;
  }
  if (!store) {
    Status opened = experts->open_file(model, options, threads, storage, clock);
    if (!opened) return opened.error();
    return experts;
  }
  Status built = experts->build(model, options, threads, storage, progress);
  // Another process has the store, and none was asked for.
  if (!built && !options.store_wanted && built.error().code == ErrorCode::kRefused) {
    Status opened = experts->open_file(model, options, threads, storage, clock);
    if (!opened) return opened.error();
    return experts;
  }
  if (!built) return built.error();
  Status enough = check_store_budget(*experts->manifest_, model.config().router.top_k, options);
  if (!enough) return enough.error();
  if (Status opened = experts->open_store(model, options, clock); !opened) return opened.error();
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
  announce(options, options.store_directory);
  auto records = records_in(options, model, storage);
  if (!records) return records.error();
  ManifestBuilder builder(model.cutter(), threads, store_.get(), &*records);
  auto manifest = builder.build(model.config().name, progress);
  if (!manifest) return manifest.error().in("building the store");
  manifest_ = std::make_unique<Manifest>(std::move(*manifest));
  return {};
}

namespace {

// `bytes` of cache. The model is larger than that: all of it will be used.
StoredSourceOptions source_options(const StreamOptions& options, uint64_t bytes) {
  return {.budget_bytes = bytes, .read_ahead = options.read_ahead, .prefault_bytes = bytes};
}

}  // namespace

// The depth of the reader is measured on the store itself: another directory may be on another
// disk.
Status StreamedExperts::open_store(const Model& model, const StreamOptions& options,
                                   const Clock& clock) {
  const ReaderSettings fitted = fit_reader_settings(options.reader, store_->sample_file(), clock);
  auto reader = open_fitted_reader(fitted, clock);
  if (!reader) return reader.error().in("--reader");
  StoredSourceOptions source = source_options(options, options.ram_bytes);
  source.read_bytes = fitted.read_bytes;
  origin_ = std::make_unique<StoreOrigin>(*manifest_, *store_);
  stored_ = std::make_unique<StoredSource>(*origin_, std::move(*reader), clock, source);
  mended_ =
      std::make_unique<MendedSource>(*stored_, *store_, *manifest_, model.cutter(), options.log);
  source_ = mended_.get();
  return {};
}

Status StreamedExperts::open_file(const Model& model, const StreamOptions& options,
                                  ThreadPool& threads, Storage& storage, const Clock& clock) {
  announce(options, model.file().path());
  auto file = LaidOutFile::open(model.file(), model.cutter(), storage);
  if (!file) return file.error();
  file_ = std::move(*file);
  origin_ = std::make_unique<FileOrigin>(*file_, model.cutter());
  Status enough = check_file_budget(model.cutter(), origin_->largest_entry_bytes(),
                                    model.config().router.top_k, options);
  if (!enough) return enough;
  double rate = 0;
  ReaderSettings settings = fit_reader_settings(options.reader, &file_->sample(), clock, &rate);
  if (options.reader.depth == 0) {
    settings.depth = std::min(settings.depth == 0 ? kUnmeasuredDepth : settings.depth, kMostDepth);
  }
  auto pieces = open_fitted_reader(settings, clock);
  if (!pieces) return pieces.error().in("--reader");
  auto reader = std::make_unique<LaidOutReader>(*file_, std::move(*pieces), threads,
                                                options.ram_bytes / kBufferShare);
  if (uint64_t simulated = options.reader.simulated_bytes_per_second; simulated > 0) {
    rate = static_cast<double>(simulated);
  }
  advise_store(options, model.cutter(), rate, threads.threads(), clock);
  // What is on its way is memory for experts, too. One expert at a time always works.
  uint64_t buffers = reader->buffer_bytes();
  uint64_t cache = std::max(options.ram_bytes - std::min(options.ram_bytes, buffers),
                            origin_->largest_entry_bytes());
  stored_ = std::make_unique<StoredSource>(*origin_, std::move(reader), clock,
                                           source_options(options, cache));
  source_ = stored_.get();
  return {};
}

}  // namespace potluck
