#include "coordinator/spread/spread_model.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/format_bytes.h"
#include "engine/gguf/split_name.h"
#include "engine/model/config.h"

namespace potluck {

// Paths in the folder's "parts" are resident parts; a model that is opened there sees whole files.
class SpreadModel::Parts final : public ForwardingStorage {
 public:
  Parts(Storage& next, std::string directory)
      : ForwardingStorage(next), directory_(std::move(directory) + "/parts/") {}
  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override {
    return path.starts_with(directory_) ? open_resident(next(), path) : next().open(path, mode);
  }

 private:
  std::string directory_;
};

// The model where it comes from, opened when it is first read from. After an error it is opened
// anew: it may have been unplugged and come back, as another file even.
class SpreadModel::Source final : public ExpertSource {
 public:
  Source(Storage& storage, const SpreadOptions& options, const SpreadAbout& about)
      : storage_(storage), options_(options), about_(about) {}

  Result<std::vector<CutOut>> read(std::span<const ExpertName> experts) override {
    if (!opened_) {
      if (Status opened = open(); !opened) {
        opened_.reset();
        return opened.error();
      }
      if (opened_->files.identities() != about_.identities) {
        const std::string found = opened_->files.identities().front();
        opened_.reset();
        return Error{ErrorCode::kCorrupt,
                     fmt::format("{}: the file has changed since spreading began: expected {}, "
                                 "found {}",
                                 source_path(about_.source), about_.identities.front(), found)};
      }
    }
    auto go_on = [this] {
      return options_.http.stop == nullptr || !options_.http.stop->load(std::memory_order_relaxed);
    };
    auto cuts = cut_out(*opened_->cutter, opened_->files, experts, go_on);
    if (!cuts) opened_.reset();
    return cuts;
  }

  // The model's description alone is read.
  Status open() {
    opened_.emplace(storage_, options_.http, source_query(about_.source));
    auto model = GgufModel::open(opened_->files, source_path(about_.source));
    if (!model) return model.error();
    opened_->model.emplace(std::move(*model));
    Result<ModelConfig> config = read_config(*opened_->model);
    if (!config) return config.error();
    auto banks = find_expert_banks(*opened_->model, *config);
    if (!banks) return banks.error();
    opened_->banks = std::move(*banks);
    opened_->cutter.emplace(*opened_->model, opened_->banks);
    return {};
  }

  const GgufModel& model() const { return *opened_->model; }
  const GrainCutter& cutter() const { return *opened_->cutter; }
  const SourceStorage& files() const { return opened_->files; }

 private:
  struct Opened {
    Opened(Storage& storage, const HttpOptions& http, std::string query)
        : files(storage, http, std::move(query)) {}
    SourceStorage files;
    std::optional<GgufModel> model;
    std::vector<ExpertBank> banks;
    std::optional<GrainCutter> cutter;
  };

  Storage& storage_;
  const SpreadOptions& options_;
  const SpreadAbout& about_;
  std::optional<Opened> opened_;
};

SpreadModel::SpreadModel(Storage& storage, const SpreadOptions& options)
    : storage_(storage),
      options_(options),
      folder_(storage, options.directory),
      parts_(std::make_unique<Parts>(storage, options.directory)),
      source_(std::make_unique<Source>(storage, options_, about_)) {}

SpreadModel::~SpreadModel() = default;

Storage& SpreadModel::storage() {
  return *parts_;
}

std::string SpreadModel::model_path() const {
  return folder_.part_path(about_.parts.front());
}

Digest SpreadModel::fingerprint() const {
  Sha256Stream hash;
  for (const std::string& identity : about_.identities) hash.update(as_bytes(identity + "\n"));
  hash.update(as_bytes(about_.source));
  return hash.finish();
}

ExpertSource& SpreadModel::source() {
  return *source_;
}

Result<std::unique_ptr<SpreadModel>> SpreadModel::open(Storage& storage,
                                                       const SpreadOptions& options,
                                                       const Progress& progress) {
  std::unique_ptr<SpreadModel> model(new SpreadModel(storage, options));
  if (Status begun = model->begin(progress); !begun) return begun.error();
  return model;
}

Status SpreadModel::begin(const Progress& progress) {
  Result<SpreadAbout> known = folder_.about();
  if (known) {
    about_ = std::move(*known);
    if (!options_.source.empty() && options_.source != about_.source) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("{}: a model of this name was spread from {}; remove that folder to "
                               "spread another one under it",
                               folder_.directory(), source_path(about_.source))};
    }
    if (options_.replicas > 0) about_.replicas = options_.replicas;
  } else if (known.error().code != ErrorCode::kNotFound || options_.source.empty()) {
    return known.error();
  }
  if (folder_.has_resident()) return known ? Status() : Status(known.error());
  if (!known) {
    about_.source = options_.source;
    if (options_.replicas > 0) about_.replicas = options_.replicas;
  }
  const std::vector<std::string> before = about_.identities;
  if (Status opened = source_->open(); !opened) return opened;
  if (Status described = describe(); !described) return described;
  if (known && before != about_.identities) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: the file has changed since spreading began: expected {}, found "
                             "{}; remove {} to spread what it is now",
                             source_path(about_.source), before.front(), about_.identities.front(),
                             folder_.directory())};
  }
  if (Status saved = folder_.save_about(about_); !saved) return saved;
  return copy_parts(progress);
}

// What is written down of the model before anything of it is kept.
Status SpreadModel::describe() {
  const GgufModel& model = source_->model();
  const GrainCutter& cutter = source_->cutter();
  if (cutter.banks().empty()) {
    return Error{
        ErrorCode::kUnsupported,
        source_path(about_.source) + ": it has no routed experts, so there is nothing to spread"};
  }
  about_.identities = source_->files().identities();
  about_.parts.clear();
  const std::string& directory = folder_.directory();
  const std::string base = directory.substr(directory.find_last_of('/') + 1);
  const auto parts = static_cast<uint32_t>(about_.identities.size());
  for (uint32_t i = 1; i <= parts; ++i) {
    about_.parts.push_back(parts == 1 ? base + ".gguf" : split_path({base, i, parts}, i));
  }
  about_.whole_bytes = model.file_bytes();
  about_.expert_bytes = cutter.total_bytes();
  about_.resident_bytes = 0;
  for (const ResidentPlan& plan : plan_resident(model, cutter.banks(), source_->files().sizes())) {
    about_.resident_bytes += plan.bytes();
  }
  about_.grains = 0;
  about_.layers = 0;
  for (const ExpertBank& bank : cutter.banks()) {
    about_.grains += uint64_t{bank.experts} * cutter.plan(bank.layer).grains;
    about_.layers = std::max(about_.layers, bank.layer + 1);
    if (cutter.expert_bytes(bank.layer) <= kLargestSpreadExpert) continue;
    return Error{ErrorCode::kLimit,
                 fmt::format("{}: an expert of layer {} takes {}, at most {} can be passed on at a "
                             "time",
                             source_path(about_.source), bank.layer,
                             format_bytes(cutter.expert_bytes(bank.layer)),
                             format_bytes(kLargestSpreadExpert))};
  }
  return {};
}

Status SpreadModel::copy_parts(const Progress& progress) {
  const SourceStorage& files = source_->files();
  const std::vector<ResidentPlan> plans =
      plan_resident(source_->model(), source_->cutter().banks(), files.sizes());
  uint64_t copied = 0;
  for (size_t i = 0; i < plans.size(); ++i) {
    auto told = [&](uint64_t done, uint64_t) {
      if (progress) progress(copied + done, about_.resident_bytes);
      return options_.http.stop == nullptr || !options_.http.stop->load(std::memory_order_relaxed);
    };
    Status done =
        copy_resident(files.file(i), plans[i], storage_, folder_.part_path(about_.parts[i]), told);
    if (!done) return done;
    copied += plans[i].bytes();
  }
  return folder_.mark_resident();
}

}  // namespace potluck
