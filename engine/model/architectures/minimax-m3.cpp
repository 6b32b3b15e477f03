// MiniMax-M3: the first layers dense; the others look at the best blocks of positions only, with
// experts by sigmoid with a bias for choosing. Everything is activated as in gpt-oss.
#include <algorithm>

#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_minimax_m3_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  config.expert_activation = ExpertActivation::kSwiGluOai;
  config.ffn_activation = ExpertActivation::kSwiGluOai;
  IndexerConfig& indexer = config.indexer;
  reader.read_indexer(IndexerKind::kBlocks, &indexer);
  indexer.block = reader.count("attention.indexer.block_size", limits::kContext);
  indexer.local_blocks = reader.count_or_zero("attention.indexer.local_blocks", limits::kContext);
  indexer.layers.assign(config.layers, 1);
  std::fill_n(indexer.layers.begin(), config.leading_dense_layers, 0);
  return reader.finish(config);
}

}  // namespace potluck
