#include "coordinator/serving/streamed_experts.h"

#include <fmt/format.h>

#include "engine/base/disk_probe.h"
#include "engine/experts/manifest_builder.h"
#include "engine/experts/working_set.h"

namespace potluck {
namespace {

// Too small a cache is not an error: it works, as slowly as the disk is.
void warn_of_small_budget(const Manifest& manifest, uint32_t top_k, const StreamOptions& options) {
  uint64_t needed = working_set(manifest, top_k, 1, 1).slab_bytes(manifest);
  if (options.ram_bytes >= needed || !options.notice) return;
  options.notice(fmt::format(
      "--ram: {:.1f} MiB hold less than the {:.1f} MiB of experts that one token uses, so every "
      "expert is read from disk every time; with more than that, some stay in memory",
      static_cast<double>(options.ram_bytes) / kMiB, static_cast<double>(needed) / kMiB));
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
  if (Status opened = experts->open_source(options, clock); !opened) return opened.error();
  warn_of_small_budget(*experts->manifest_, model.config().router.top_k, options);
  return experts;
}

Status StreamedExperts::build(const Model& model, const StreamOptions& options, ThreadPool& threads,
                              Storage& storage, const Progress& progress) {
  auto store = GrainStore::open(storage, options.store_directory, UINT64_MAX);
  if (!store) return store.error().in("--store");
  store_ = std::move(*store);
  for (const std::string& text : store_->take_notices()) {
    if (options.notice) options.notice(text);
  }
  auto fingerprint = model.file().fingerprint();
  if (!fingerprint) return fingerprint.error();
  LayerRecords records(storage, options.store_directory + "/layers", *fingerprint);
  ManifestBuilder builder(model.cutter(), threads, store_.get(), &records);
  auto manifest = builder.build(model.config().name, progress);
  if (!manifest) return manifest.error().in("building the store");
  manifest_ = std::make_unique<Manifest>(std::move(*manifest));
  return {};
}

// The depth of the reader is measured on the store itself.
Status StreamedExperts::open_source(const StreamOptions& options, const Clock& clock) {
  auto reader =
      open_fitted_reader(options.reader, store_->sample_file(), StoredSource::kReadBytes, clock);
  if (!reader) return reader.error().in("--reader");
  source_ = std::make_unique<StoredSource>(
      *manifest_, *store_, std::move(*reader), clock,
      StoredSourceOptions{.budget_bytes = options.ram_bytes, .guess = options.prefetch});
  return {};
}

}  // namespace potluck
