#include "worker/model_cuts.h"

namespace potluck {

Status ModelCuts::start(const Manifest& manifest) {
  use_.reset();
  if (model_ == nullptr) return {};
  if (Status same = model_->compare(manifest); !same) return same;
  use_.emplace(Use{manifest, {}});
  return {};
}

std::optional<ModelCuts::Grain> ModelCuts::grain() const {
  if (!use_ || use_->expert.empty()) return std::nullopt;
  uint64_t bytes = use_->manifest.grain_bytes(use_->next);
  return Grain{use_->next, use_->manifest.digest_of(use_->next),
               ByteSpan(use_->expert).subspan(use_->offset, bytes)};
}

void ModelCuts::advance() {
  use_->offset += use_->manifest.grain_bytes(use_->next);
  ++use_->next.grain;
  if (use_->offset == use_->expert.size()) use_->expert = ByteVector();
}

// A whole expert, although one grain is asked for: what a grain needs of the down matrix is spread
// over all of its rows, so the other grains cost little more.
Status ModelCuts::cut_expert_of(GrainId id) {
  const GrainCutter& cutter = model_->cutter();
  use_->next = {id.layer, id.expert, 0};
  use_->offset = 0;
  use_->expert.resize(cutter.expert_bytes(id.layer));
  return cutter.cut_expert(id.layer, id.expert, use_->expert);
}

}  // namespace potluck
