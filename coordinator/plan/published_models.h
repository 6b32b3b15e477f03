// PublishedModel: what the configuration of a published model says of its sizes, so that `plan` and
// `show` know the model before anything of it is fetched. A table of data, each row with its
// source; plain values and pure functions; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/plan/plan_model.h"
#include "engine/gguf/quantization_mix.h"

namespace potluck {

// What mixes tokens in some of a model's layers. Heads, or of the kind's own numbers those that it
// has; without biases and norms, which take next to nothing.
struct PublishedMixer {
  MixerKind kind = MixerKind::kNone;
  uint32_t heads = 0;       // of queries; of a delta net, of values; of Mamba-2, all
  uint32_t kv_heads = 0;    // of a delta net, of keys
  uint32_t head_dim = 0;    // latent attention: of it the dimensions that rope leaves alone
  bool gated = false;       // queries and gates come out of one matrix
  bool keys_alone = false;  // values are made of the products for keys
  uint32_t query_rank = 0;  // latent attention; 0: queries are not compressed
  uint32_t rank = 0;
  uint32_t turned = 0;
  uint32_t value_dim = 0;
  uint32_t index_heads = 0;  // of an indexer, or 0
  uint32_t index_dim = 0;
  uint32_t groups = 0;  // Mamba-2
  uint32_t state = 0;
};

struct PublishedModel {
  std::string_view names;  // in lower case, with spaces between them; the first one is shown
  std::string_view title;
  std::string_view source;  // where the numbers stand
  std::string_view architecture;
  std::string_view format = "Q4_K_M";  // that most people take
  uint32_t layers = 0;
  uint32_t hidden = 0;
  uint32_t vocabulary = 0;
  uint32_t context = 0;  // 0: not in the table
  bool tied = false;     // the token embedding is also the output
  // Of layers, repeated: a: `attention` and a feed-forward part; o: `other` and the same;
  // *: `attention` alone; M: `other` alone; E: a feed-forward part alone.
  std::string_view pattern = "a";
  PublishedMixer attention = {};
  PublishedMixer other = {};
  uint32_t experts = 0;
  uint32_t top_k = 0;
  uint32_t expert_width = 0;
  uint32_t shared_width = 0;  // what is computed beside the experts
  uint32_t dense_layers = 0;  // the first ones, without experts
  uint32_t dense_width = 0;
  ExpertActivation activation = ExpertActivation::kSwiGlu;
};

std::span<const PublishedModel> published_models();
// All names, for suggestions.
std::vector<std::string> published_names();

// A published model as a file in some quantization would have it: its list of tensors, without
// places, and what a reader would make of it.
struct PublishedFile {
  const PublishedModel* model = nullptr;
  std::string_view format;
  ModelConfig config;  // sizes only
  std::vector<GgufTensor> tensors;
  std::vector<ExpertBank> banks;  // shapes only

  uint64_t bytes() const;
  uint64_t parameters() const;
};

PublishedFile make_published_file(const PublishedModel& model, const QuantizationMix& mix);

// "NAME" or "NAME:QUANTIZATION", with or without the user before a slash; case does not count.
// kNotFound: no such name; kInvalidArgument: no such quantization, with those that are known.
Result<PublishedFile> find_published(const std::string& text);

}  // namespace potluck
