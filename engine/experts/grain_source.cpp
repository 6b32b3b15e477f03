// The sources that have a grain at once: all experts in memory, and the model file itself. Waves
// are mere lists here; the source that waits for a disk is in stored_source.cpp.
#include "engine/experts/grain_source.h"

#include <cstring>
#include <list>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

Error no_such_grain(GrainId id) {
  return {ErrorCode::kNotFound,
          fmt::format("no grain {} of expert {} in layer {}", id.grain, id.expert, id.layer)};
}

// Offsets of the grains inside one expert, and the end: as they are cut, or without their padding.
std::vector<uint64_t> grain_offsets(const ExpertShape& shape, const ChunkPlan& plan,
                                    uint64_t GrainLayout::*bytes = &GrainLayout::bytes) {
  std::vector<uint64_t> offsets{0};
  for (uint32_t grain = 0; grain < plan.grains; ++grain) {
    offsets.push_back(offsets.back() + grain_layout(shape, plan, grain).*bytes);
  }
  return offsets;
}

// Copies one expert without the padding of its grains.
void pack_expert(ByteSpan cut, std::span<const uint64_t> from, std::span<const uint64_t> to,
                 MutableByteSpan out) {
  for (size_t grain = 0; grain + 1 < to.size(); ++grain) {
    uint64_t bytes = to[grain + 1] - to[grain];
    std::memcpy(out.data() + to[grain], cut.data() + from[grain], bytes);
  }
}

}  // namespace

Result<GrainView> GrainSource::get(GrainId id) {
  request({&id, 1});
  std::vector<Arrival> arrivals;
  if (Status taken = take(&arrivals); !taken) return taken.error();
  return std::move(arrivals.front().view);
}

void ImmediateSource::request(std::span<const GrainId> wave) {
  wave_.assign(wave.begin(), wave.end());
  taken_ = 0;
}

Status ImmediateSource::take(std::vector<Arrival>* arrivals) {
  size_t first = taken_;
  for (; taken_ < wave_.size(); ++taken_) {
    Result<GrainView> view = fetch(wave_[taken_]);
    // No room while earlier views are alive is no failure yet: the caller computes those, drops
    // them, and asks again.
    if (!view && view.error().code == ErrorCode::kLimit && taken_ > first) return {};
    if (!view) return view.error();
    arrivals->push_back({taken_, std::move(*view)});
  }
  return {};
}

Result<std::unique_ptr<ResidentSource>> ResidentSource::load(const GrainCutter& cutter,
                                                             const Progress& progress) {
  std::unique_ptr<ResidentSource> source(new ResidentSource());
  Status loaded =
      guard_memory("the experts of the model", [&] { return source->load_all(cutter, progress); });
  if (!loaded) return loaded.error();
  return source;
}

Status ResidentSource::load_all(const GrainCutter& cutter, const Progress& progress) {
  uint64_t total = cutter.total_bytes();
  uint64_t done = 0;
  for (const ExpertBank& bank : cutter.banks()) {
    if (bank.layer >= layers_.size()) layers_.resize(bank.layer + 1);
    Layer& layer = layers_[bank.layer];
    const ChunkPlan& plan = cutter.plan(bank.layer);
    std::vector<uint64_t> padded = grain_offsets(bank.shape, plan);
    layer.offsets = grain_offsets(bank.shape, plan, &GrainLayout::used_bytes);
    layer.expert_bytes = layer.offsets.back();
    layer.grains = Buffer(bank.experts * layer.expert_bytes,
                          fmt::format("the experts of layer {}", bank.layer));
    // Grains are padded to pages for disks; in memory the padding would take room for nothing, so
    // each expert goes through one buffer.
    Buffer cut(padded.back(), "one expert");
    for (uint32_t expert = 0; expert < bank.experts; ++expert) {
      Status status = cutter.cut_expert(bank.layer, expert, cut.span());
      if (!status) return status.error();
      auto place = layer.grains.span().subspan(expert * layer.expert_bytes, layer.expert_bytes);
      pack_expert(cut.span(), padded, layer.offsets, place);
      done += cut.size();
      if (progress) progress(done, total);
    }
  }
  return {};
}

uint64_t ResidentSource::bytes_for(const GrainCutter& cutter) {
  uint64_t total = 0;
  for (const ExpertBank& bank : cutter.banks()) {
    const ChunkPlan& plan = cutter.plan(bank.layer);
    total += bank.experts * grain_offsets(bank.shape, plan, &GrainLayout::used_bytes).back();
  }
  return total;
}

Result<GrainView> ResidentSource::fetch(GrainId id) {
  if (id.layer >= layers_.size()) return no_such_grain(id);
  const Layer& layer = layers_[id.layer];
  uint64_t expert = id.expert * layer.expert_bytes;
  if (expert >= layer.grains.size() || id.grain + size_t{1} >= layer.offsets.size()) {
    return no_such_grain(id);
  }
  uint64_t begin = layer.offsets[id.grain];
  uint64_t bytes = layer.offsets[id.grain + size_t{1}] - begin;
  return GrainView{layer.grains.span().subspan(expert + begin, bytes), nullptr};
}

uint64_t ResidentSource::bytes() const {
  uint64_t total = 0;
  for (const Layer& layer : layers_) total += layer.grains.size();
  return total;
}

struct GgufSource::State {
  struct Expert {
    uint16_t layer;
    uint16_t expert;
    std::shared_ptr<Buffer> grains;
  };

  const GrainCutter& cutter;
  uint64_t budget_bytes;
  uint64_t used_bytes = 0;
  std::list<Expert> experts;                   // most recently used first
  std::vector<std::vector<uint64_t>> offsets;  // by layer, empty until it is needed

  Result<Expert*> find(GrainId id);
  bool make_room(uint64_t bytes);
  ByteSpan grain(const Expert& from, GrainId id);
};

Result<GgufSource::State::Expert*> GgufSource::State::find(GrainId id) {
  for (auto expert = experts.begin(); expert != experts.end(); ++expert) {
    if (expert->layer != id.layer || expert->expert != id.expert) continue;
    experts.splice(experts.begin(), experts, expert);
    return &experts.front();
  }
  uint64_t bytes = cutter.expert_bytes(id.layer);
  if (!make_room(bytes)) {
    return Error{ErrorCode::kLimit,
                 fmt::format("{} bytes of laid-out experts are in use, the budget is {}",
                             used_bytes, budget_bytes)};
  }
  // Shared with the views: an expert that leaves the list stays alive while it is computed with.
  auto grains = std::make_shared<Buffer>(bytes);
  if (Status cut = cutter.cut_expert(id.layer, id.expert, grains->span()); !cut) {
    return cut.error();
  }
  used_bytes += bytes;
  experts.push_front({id.layer, id.expert, std::move(grains)});
  return &experts.front();
}

// Drops the coldest experts without views until `bytes` more fit. One expert is always allowed.
bool GgufSource::State::make_room(uint64_t bytes) {
  auto expert = experts.end();
  while (used_bytes + bytes > budget_bytes && expert != experts.begin()) {
    --expert;
    if (expert->grains.use_count() > 1) continue;
    used_bytes -= expert->grains->size();
    expert = experts.erase(expert);
  }
  return experts.empty() || used_bytes + bytes <= budget_bytes;
}

ByteSpan GgufSource::State::grain(const Expert& from, GrainId id) {
  if (id.layer >= offsets.size()) offsets.resize(size_t{id.layer} + 1);
  std::vector<uint64_t>& bounds = offsets[id.layer];
  if (bounds.empty()) {
    bounds = grain_offsets(cutter.bank(id.layer)->shape, cutter.plan(id.layer));
  }
  uint64_t begin = bounds[id.grain];
  const Buffer& grains = *from.grains;
  return grains.span().subspan(begin, bounds[id.grain + size_t{1}] - begin);
}

GgufSource::GgufSource(const GrainCutter& cutter, uint64_t budget_bytes)
    : state_(new State{cutter, budget_bytes, 0, {}, {}}) {}

GgufSource::~GgufSource() = default;

Result<GrainView> GgufSource::fetch(GrainId id) {
  const ExpertBank* bank = state_->cutter.bank(id.layer);
  if (bank == nullptr || id.expert >= bank->experts ||
      id.grain >= state_->cutter.plan(id.layer).grains) {
    return no_such_grain(id);
  }
  auto expert = state_->find(id);
  if (!expert) return expert.error();
  return GrainView{state_->grain(**expert, id), (*expert)->grains};
}

}  // namespace potluck
