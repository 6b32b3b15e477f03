// DeepSeek V4: several residuals that each part mixes anew, attention over a window and compressed
// entries, of which some layers choose the best, and in the first layers experts that tokens name.
#include <algorithm>
#include <string>

#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

// Entries of so few positions are so many that indexers choose among them.
constexpr uint32_t kIndexedRatio = 4;

void read_indexed_entries(ConfigReader& reader, ModelConfig* config) {
  reader.read_compressed_attention(config);
  for (uint32_t ratio : config->compressed.ratios) {
    config->indexer.layers.push_back(ratio == kIndexedRatio ? 1 : 0);
  }
  if (std::ranges::count(config->indexer.layers, 1) == 0) return;
  reader.read_indexer(IndexerKind::kEntries, &config->indexer);
  config->indexer.pairs = config->rope.pairs;
}

}  // namespace

Result<ModelConfig> read_deepseek4_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  read_indexed_entries(reader, &config);
  reader.read_hyper_connections(&config.hyper);
  config.router.gating = Gating::kSqrtSoftplus;
  reader.read_sparse_layers(&config);
  RouterConfig& router = config.router;
  router.hash_layers = reader.count_or_zero("hash_layer_count", config.layers);
  // The first layer that chooses has what all have that do.
  const std::string first = "blk." + std::to_string(router.hash_layers);
  router.selection_bias = reader.has_tensor(first + ".exp_probs_b.bias");
  reader.read_limits(ExpertActivation::kSwiGluClampBefore, &config);
  return reader.finish(config);
}

}  // namespace potluck
