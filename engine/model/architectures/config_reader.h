// ConfigReader: reads the hyper-parameters of one GGUF file under its architecture's prefix. The
// first thing that is wrong is kept and returned by finish(), so that a family reads as a list of
// its numbers. Internal to engine/model; lives on the stack of one function.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/base/limits.h"
#include "engine/model/config.h"

namespace potluck {

class ConfigReader {
 public:
  static constexpr std::string_view kRmsEpsilonKey = "attention.layer_norm_rms_epsilon";

  // The file must have general.architecture (read_config() has seen it).
  explicit ConfigReader(const GgufModel& model);

  // Where a number is expected, an array that says the same for every layer is as good.

  // "<architecture>.<key>": a whole number in [1, limit].
  uint32_t count(std::string_view key, uint32_t limit);
  // How many layers apart those of a kind are; 1 where the file says nothing or was refused:
  // numbers of layers are divided by it.
  uint32_t layer_period(std::string_view key, uint32_t otherwise = 1);
  // The same where only the first `layers` go by it; an array may say anything of the others.
  uint32_t count_of_first(std::string_view key, uint32_t limit, uint32_t layers);
  // The same, or `otherwise` if the key is absent.
  uint32_t count_or(std::string_view key, uint32_t limit, uint32_t otherwise);
  // A whole number in [0, limit]; 0 if the key is absent.
  uint32_t count_or_zero(std::string_view key, uint32_t limit);
  double number(std::string_view key);
  double number_or(std::string_view key, double otherwise);
  bool boolean_or(std::string_view key, bool otherwise);
  // A whole number or boolean for each of `layers`; empty if the key is absent.
  std::vector<uint8_t> switches(std::string_view key, uint32_t layers);
  bool has(std::string_view key) const;
  bool has_tensor(const std::string& name) const { return model_.find(name) != nullptr; }

  // Refuses a file where the number is there and not 0: the model computes what this program does
  // not.
  void refuse(std::string_view key);
  // A whole number in [0, limit] for each of the layers, where the file may say one for all.
  std::vector<uint32_t> counts_of_layers(std::string_view key, uint32_t limit, uint32_t layers);

  // Limits of what experts activate, one for each of the layers, where 0 says that there is none;
  // empty if no layer has one.
  std::vector<float> limits_of_layers(std::string_view key, uint32_t layers);

  // What all families have: sizes, heads, norm, rope and layers that predict tokens ahead.
  ModelConfig read_common(std::string_view epsilon_key = kRmsEpsilonKey);
  // The number of experts and how many of them each token uses.
  void read_experts(ModelConfig* config);
  // What files of newer families say about their router; what they leave out stays as it is.
  void read_router(RouterConfig* router);
  // Experts that every token goes to, which stand in the file as one wide expert: its width under
  // the key of its own, or as a multiple of a routed expert's.
  void read_shared_experts(ModelConfig* config);
  // Experts as DeepSeek V3 introduced them and many took over: the first layers dense (by their
  // key, or by the tensors that they have not), a router with all its options, shared experts. How
  // experts are gated and whether weights are normalized must be set, in case no key says it.
  void read_sparse_layers(ModelConfig* config);
  // Latent attention and its YaRN, as DeepSeek V2 introduced them. Before the router is read.
  void read_latent_attention(ModelConfig* config);
  // Windows, entries, compressed queries and grouped outputs, as DeepSeek V4 introduced them.
  void read_compressed_attention(ModelConfig* config);
  void read_hyper_connections(HyperConfig* hyper);
  // Limits of what routed and shared experts activate, by layer, where the file has any.
  void read_limits(ExpertActivation activation, ModelConfig* config);
  // Heads, sizes and top k of sparse attention's indexers.
  void read_indexer(IndexerKind kind, IndexerConfig* indexer);
  void read_delta_net(ModelConfig* config);
  void read_mamba(ModelConfig* config);
  // Layers without KV heads are of this kind: their numbers stand in an array.
  void read_mixers(MixerKind without_kv_heads, ModelConfig* config);
  // Layers that see a window only: those that a key lists, or all but every `period`-th.
  void read_windows(uint32_t period, ModelConfig* config);
  // Heads of layers with a window are of other sizes where the file says so. After the windows.
  void read_window_heads(ModelConfig* config);
  // The last layers may attend to the keys and values of the last one before them that has a
  // window, or none, as they have. After the windows.
  void read_shared_kv_layers(ModelConfig* config);
  // A width for each layer's dense part.
  void read_dense_widths(ModelConfig* config);
  // Layers with a window turn by a base of their own, and so many values, where the file has them.
  void read_window_rope(ModelConfig* config);
  // The same in any case.
  void add_window_rope(ModelConfig* config);
  // The same, and layers without a window do not turn at all, except the first `turning` ones.
  void read_rope_of_windows_only(uint32_t turning, ModelConfig* config);

  // The configuration, checked, or the first error.
  Result<ModelConfig> finish(const ModelConfig& config) const;

 private:
  std::string full_key(std::string_view key) const;
  void fail(Error error);
  // The one value that an array has `layers` times; 0: for all layers.
  template <class T>
  Result<T> same_for_layers(std::string_view key, const Result<std::vector<T>>& values,
                            uint32_t layers) const;
  Result<uint64_t> integer(std::string_view key, uint32_t layers) const;
  bool is_array(std::string_view key) const;
  bool has_recurrent_layers() const;
  uint32_t checked(std::string_view key, Result<uint64_t> value, uint32_t low, uint32_t limit);
  uint32_t count_from(uint32_t low, std::string_view key, uint32_t limit);
  // One number for all layers, or the largest of those in `per_layer`.
  uint32_t count_by_layer(std::string_view key, uint32_t limit, uint32_t layers,
                          std::vector<uint32_t>* per_layer);
  void read_latent_yarn(ModelConfig* config);
  void read_shared_width(uint32_t layer, ModelConfig* config);
  void read_rope(ModelConfig* config);
  void read_rope_scaling(uint32_t trained_context, RopeConfig* rope);
  // What other programs do with a model and this one does not.
  void refuse_unsupported();
  uint32_t read_vocabulary();

  const GgufModel& model_;
  std::string architecture_;
  std::optional<Error> error_;
};

}  // namespace potluck
