#include "engine/model/model.h"

#include <fmt/format.h>

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

Result<std::unique_ptr<Model>> Model::load(Storage& storage, const std::string& path,
                                           const Progress& progress) {
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
  Result<ModelWeights> weights = load_weights(model->file_, model->config_, progress);
  if (!weights) return weights.error();
  model->weights_ = std::move(*weights);
  Result<std::unique_ptr<Tokenizer>> tokenizer = load_tokenizer(model->file_, model->config_);
  if (tokenizer) {
    model->tokenizer_ = std::move(*tokenizer);
  } else {
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

}  // namespace potluck
