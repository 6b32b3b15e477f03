#include "engine/model/model.h"

#include <fmt/format.h>

#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// The tokenizer of the file, if all of its tokens have an embedding: otherwise a text could lead to
// a token that the model cannot compute.
Result<std::unique_ptr<Tokenizer>> load_tokenizer(const GgufModel& file,
                                                  const ModelConfig& config) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = make_tokenizer(file.metadata());
  if (!tokenizer) return tokenizer.error().in(file.path());
  if ((*tokenizer)->vocabulary_size() > config.vocabulary) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: the tokenizer has {} tokens, but token_embd.weight {} rows",
                             file.path(), (*tokenizer)->vocabulary_size(), config.vocabulary)};
  }
  return tokenizer;
}

}  // namespace

Result<std::unique_ptr<Model>> Model::open(Storage& storage, const std::string& path) {
  Result<GgufModel> file = GgufModel::open(storage, path);
  if (!file) return file.error();
  // Banks and cutter point into the description of the file, so it must be in its final place.
  std::unique_ptr<Model> model(new Model(std::move(*file)));
  Result<ModelConfig> config = read_config(model->file_);
  if (!config) return config.error();
  model->config_ = std::move(*config);
  Result<std::vector<ExpertBank>> banks = find_expert_banks(model->file_, model->config_);
  if (!banks) return banks.error();
  model->banks_ = std::move(*banks);
  model->cutter_ = std::make_unique<GrainCutter>(model->file_, model->banks_);
  // Before a byte of the weights is read: a tensor that is missing, and memory that will not
  // suffice, are known at once.
  Result<uint64_t> weight_bytes = measure_weights(model->file_, model->config_);
  if (!weight_bytes) return weight_bytes.error();
  model->weight_bytes_ = *weight_bytes;
  Result<std::unique_ptr<Tokenizer>> tokenizer = load_tokenizer(model->file_, model->config_);
  if (tokenizer) {
    model->tokenizer_ = std::move(*tokenizer);
  } else {
    // A model without a usable tokenizer still computes tokens: `eval --tokens` needs no text.
    model->tokenizer_error_ = tokenizer.error().message;
  }
  model->notes_ = notes_of(model->file_, model->tokenizer_.get());
  return model;
}

std::vector<std::string> notes_of(const GgufModel& file, const Tokenizer* tokenizer) {
  std::vector<std::string> notes(file.notes().begin(), file.notes().end());
  if (tokenizer == nullptr) return notes;
  for (const std::string& note : tokenizer->notes()) {
    notes.push_back(fmt::format("{}: {}", file.path(), note));
  }
  return notes;
}

Status Model::load_weights(const Progress& progress) {
  return guard_memory(file_.path(), [&]() -> Status {
    Result<ModelWeights> weights = potluck::load_weights(file_, config_, progress);
    if (!weights) return weights.error();
    weights_ = std::move(*weights);
    return {};
  });
}

Result<std::unique_ptr<Model>> Model::load(Storage& storage, const std::string& path,
                                           const Progress& progress) {
  Result<std::unique_ptr<Model>> model = open(storage, path);
  if (!model) return model;
  if (Status loaded = (*model)->load_weights(progress); !loaded) return loaded.error();
  return model;
}

}  // namespace potluck
