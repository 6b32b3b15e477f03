#include "worker/model_copy.h"

#include <fmt/format.h>

#include "engine/kernels/block_format.h"
#include "engine/model/config.h"

namespace potluck {
namespace {

std::string describe(uint32_t experts, const ExpertShape& shape) {
  return fmt::format("{} experts of {} x {} in {}/{}/{}", experts, shape.width, shape.hidden,
                     block_format(shape.gate).name, block_format(shape.up).name,
                     block_format(shape.down).name);
}

}  // namespace

Result<std::unique_ptr<ModelCopy>> ModelCopy::open(Storage& storage, const std::string& path) {
  Result<GgufModel> file = GgufModel::open(storage, path);
  if (!file) return file.error();
  std::unique_ptr<ModelCopy> copy(new ModelCopy(std::move(*file), path));
  Result<ModelConfig> config = read_config(copy->file_);
  if (!config) return config.error().in(path);
  Result<std::vector<ExpertBank>> banks = find_expert_banks(copy->file_, *config);
  if (!banks) return banks.error();
  copy->banks_ = std::move(*banks);
  copy->cutter_ = std::make_unique<GrainCutter>(copy->file_, copy->banks_);
  return copy;
}

// Only shapes: comparing weights means reading all of them. That is done grain by grain when they
// are cut (PoolSources::store_cut()).
Status ModelCopy::compare(const Manifest& manifest) const {
  for (const ManifestLayer& layer : manifest.layers()) {
    const ExpertBank* bank = cutter_->bank(layer.layer);
    if (bank != nullptr && bank->experts == layer.experts && bank->shape == layer.shape) continue;
    std::string found = bank == nullptr ? "no experts" : describe(bank->experts, bank->shape);
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: layer {} has {}, expected {}", path_, layer.layer, found,
                             describe(layer.experts, layer.shape))};
  }
  return {};
}

}  // namespace potluck
