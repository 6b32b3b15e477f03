#include "coordinator/runtime/own_expert_source.h"

namespace potluck {
namespace {

constexpr uint32_t expert_key(uint32_t layer, uint32_t expert) {
  return (layer << 16) | expert;
}

}  // namespace

void OwnExpertSource::set_own(std::vector<uint32_t> experts) {
  MutexLock lock(mutex_);
  change_ = std::move(experts);
}

void OwnExpertSource::take_change() {
  {
    MutexLock lock(mutex_);
    if (!change_) return;
    own_ = std::move(*change_);
    change_.reset();
  }
  std::erase_if(experts_, [this](const auto& entry) {
    bool own = is_own(entry.first >> 16, entry.first & 0xffff);
    if (!own) kept_bytes_ -= entry.second.grains->size();
    return !own;
  });
}

Result<GrainView> OwnExpertSource::fetch(GrainId id) {
  take_change();
  if (!is_own(id.layer, id.expert)) return others_.get(id);
  auto known = experts_.find(expert_key(id.layer, id.expert));
  const Expert* expert = known == experts_.end() ? nullptr : &known->second;
  if (expert == nullptr) {
    // Beyond the budget it is laid out and forgotten like any other.
    if (kept_bytes_ + cutter_.expert_bytes(id.layer) > budget_bytes_) return others_.get(id);
    Result<const Expert*> kept = keep(id);
    if (!kept) return kept.error();
    expert = *kept;
  }
  uint64_t begin = (*expert->offsets)[id.grain];
  uint64_t end = (*expert->offsets)[id.grain + size_t{1}];
  return GrainView{expert->grains->span().subspan(begin, end - begin), expert->grains};
}

Result<const OwnExpertSource::Expert*> OwnExpertSource::keep(GrainId id) {
  std::vector<uint64_t>& offsets = offsets_[id.layer];
  const ChunkPlan& plan = cutter_.plan(id.layer);
  if (offsets.empty()) offsets.push_back(0);
  for (uint32_t grain = 0; offsets.size() <= plan.grains; ++grain) {
    offsets.push_back(offsets.back() +
                      grain_layout(cutter_.bank(id.layer)->shape, plan, grain).bytes);
  }
  auto grains = std::make_shared<Buffer>(cutter_.expert_bytes(id.layer), "experts of its own");
  if (Status cut = cutter_.cut_expert(id.layer, id.expert, grains->span()); !cut) {
    return cut.error();
  }
  kept_bytes_ += grains->size();
  Expert& expert = experts_[expert_key(id.layer, id.expert)];
  expert = {std::move(grains), &offsets};
  return &expert;
}

}  // namespace potluck
