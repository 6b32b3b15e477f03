// DeepSeek V3.2: V3 whose attention looks at the best positions only. Its indexers turn halves of
// their heads against each other, where attention turns neighbors.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_deepseek32_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  reader.read_latent_attention(&config);
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  reader.read_indexer(IndexerKind::kPositions, &config.indexer);
  config.indexer.pairs = RopePairs::kHalves;
  return reader.finish(config);
}

}  // namespace potluck
