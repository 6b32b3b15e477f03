// GLM-5: DeepSeek V3 whose attention looks at the best positions only. From 5.2 on not every layer
// has an indexer; the others look where the last one before them did.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

// GLM-5.2 is known by its context, where its file does not list the layers.
std::vector<uint8_t> layers_with_indexer(const ModelConfig& config) {
  constexpr uint32_t kLongContext = 1024 * 1024;
  if (config.trained_context < kLongContext) return {};
  std::vector<uint8_t> layers;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    layers.push_back(layer < 2 || layer % 4 == 2 ? 1 : 0);
  }
  return layers;
}

}  // namespace

Result<ModelConfig> read_glm_dsa_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  reader.read_latent_attention(&config);
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  reader.read_indexer(IndexerKind::kPositions, &config.indexer);
  config.indexer.pairs = RopePairs::kNeighbors;
  config.indexer.layers = reader.switches("attention.indexer.types", config.layers);
  if (config.indexer.layers.empty()) config.indexer.layers = layers_with_indexer(config);
  return reader.finish(config);
}

}  // namespace potluck
