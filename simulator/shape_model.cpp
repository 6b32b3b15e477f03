#include "simulator/shape_model.h"

#include <cstring>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/random.h"

namespace potluck::sim {
namespace {

// Every grain has a digest of its own, as if it had been hashed.
Digest made_up_digest(uint64_t layer, uint64_t grain) {
  Digest digest;
  for (uint64_t word = 0; word < 4; ++word) {
    uint64_t bits = CounterRandom(layer).bits(grain, word);
    std::memcpy(digest.bytes.data() + 8 * word, &bits, sizeof bits);
  }
  return digest;
}

Manifest made_up_manifest(const Model& model, const std::string& name) {
  std::vector<ManifestLayer> layers;
  for (const ExpertBank& bank : model.banks()) {
    ManifestLayer layer;
    layer.layer = bank.layer;
    layer.experts = bank.experts;
    layer.shape = bank.shape;
    uint64_t grains = uint64_t{bank.experts} * model.cutter().plan(bank.layer).grains;
    for (uint64_t i = 0; i < grains; ++i) layer.grains.push_back(made_up_digest(bank.layer, i));
    layers.push_back(std::move(layer));
  }
  return {name, std::move(layers)};
}

}  // namespace

Result<std::unique_ptr<ShapeModel>> ShapeModel::make(const SyntheticShape& shape) {
  std::unique_ptr<ShapeModel> made(new ShapeModel);
  made->storage_ = synthetic_storage(shape);
  auto model = Model::open(*made->storage_, kSyntheticPath);
  if (!model) return model.error();
  made->model_ = std::move(*model);
  uint64_t grains = 0;
  for (const ExpertBank& bank : made->model_->banks()) {
    grains += uint64_t{bank.experts} * made->model_->cutter().plan(bank.layer).grains;
  }
  if (grains * sizeof(Digest) > limits::kManifestBytes) {
    return Error{ErrorCode::kLimit, fmt::format("{} grains: no manifest may be so large", grains)};
  }
  Result<const KernelTable*> kernels = select_kernels("");
  if (!kernels) return kernels.error();
  made->kernels_ = *kernels;
  made->manifest_ = std::make_unique<Manifest>(made_up_manifest(*made->model_, shape.name));
  std::span<const ExpertBank> banks = made->model_->banks();
  made->plan_ = plan_model(made->model_->file().tensors(), made->model_->config(),
                           std::vector<ExpertBank>(banks.begin(), banks.end()));
  return made;
}

}  // namespace potluck::sim
