// Model: what is needed to run one GGUF file: its description, configuration, resident weights,
// tokenizer and expert banks. Immutable once its weights are loaded; any thread may read it then.
// Experts are not loaded here: what computes them has a GrainSource.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model/weights.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

class Model {
 public:
  // Reads the description alone: everything is there but the weights, and what they will take of
  // memory is known. The errors name the file and what in it cannot be used.
  static Result<std::unique_ptr<Model>> open(Storage& storage, const std::string& path);
  // Once, after open(): kLimit when memory does not suffice.
  Status load_weights(const Progress& progress);
  // Both.
  static Result<std::unique_ptr<Model>> load(Storage& storage, const std::string& path,
                                             const Progress& progress);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const GgufModel& file() const { return file_; }
  const ModelConfig& config() const { return config_; }
  const ModelWeights& weights() const { return weights_; }
  uint64_t weight_bytes() const { return weight_bytes_; }  // in memory, loaded or not
  // Null with the reason when the file has no usable tokenizer: eval --tokens works without.
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }
  const std::string& tokenizer_error() const { return tokenizer_error_; }
  // What is odd about the file and how it was taken, for the user to know.
  std::span<const std::string> notes() const { return notes_; }
  std::span<const ExpertBank> banks() const { return banks_; }
  const GrainCutter& cutter() const { return *cutter_; }
  const ExpertBank* bank(uint32_t layer) const { return cutter_->bank(layer); }

 private:
  explicit Model(GgufModel file) : file_(std::move(file)) {}

  GgufModel file_;
  ModelConfig config_;
  ModelWeights weights_;
  uint64_t weight_bytes_ = 0;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::string tokenizer_error_;
  std::vector<std::string> notes_;
  std::vector<ExpertBank> banks_;
  std::unique_ptr<GrainCutter> cutter_;
};

// The notes of a file and of its tokenizer (null: it has none), each once.
std::vector<std::string> notes_of(const GgufModel& file, const Tokenizer* tokenizer);

}  // namespace potluck
