#include "coordinator/spread/expert_window.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

// Experts of one layer that follow each other: what they take of a tensor is one range.
Status hold_run(const ExpertBank& bank, uint32_t first, uint32_t count, SourceStorage& source) {
  for (const GgufTensor* tensor : bank.tensors()) {
    const uint64_t bytes = tensor->bytes / bank.experts;
    for (const TensorPlace& place : places_in(*tensor, first * bytes, count * bytes)) {
      if (Status held = source.hold(place); !held) return held;
    }
  }
  return {};
}

Result<CutOut> cut_one(const GrainCutter& cutter, ExpertName name) {
  CutOut cut;
  cut.name = name;
  cut.grains = std::make_shared<Buffer>(cutter.expert_bytes(name.layer), "experts to be spread");
  if (Status done = cutter.cut_expert(name.layer, name.expert, cut.grains->span()); !done) {
    return done.error();
  }
  ByteSpan rest = cut.grains->span();
  for (uint32_t grain = 0; grain < cutter.plan(name.layer).grains; ++grain) {
    const uint64_t bytes =
        cutter.grain_bytes({name.layer, name.expert, static_cast<uint16_t>(grain)});
    cut.digests.push_back(sha256(rest.first(bytes)));
    rest = rest.subspan(bytes);
  }
  return cut;
}

// How many of the experts from `begin` on are one run.
size_t run_length(std::span<const ExpertName> experts, size_t begin) {
  size_t end = begin + 1;
  while (end < experts.size() && experts[end].layer == experts[begin].layer &&
         experts[end].expert == experts[begin].expert + (end - begin)) {
    ++end;
  }
  return end - begin;
}

}  // namespace

Result<std::vector<CutOut>> cut_out(const GrainCutter& cutter, SourceStorage& source,
                                    std::span<const ExpertName> experts,
                                    const std::function<bool()>& go_on) {
  std::vector<CutOut> cuts;
  for (size_t begin = 0; begin < experts.size();) {
    const size_t count = run_length(experts, begin);
    const ExpertBank* bank = cutter.bank(experts[begin].layer);
    CHECK(bank != nullptr);
    Status held = hold_run(*bank, experts[begin].expert, static_cast<uint32_t>(count), source);
    for (size_t i = 0; i < count && held; ++i) {
      if (go_on && !go_on()) held = Error{ErrorCode::kCancelled, "the coordinator is about to end"};
      if (!held) break;
      Result<CutOut> cut = cut_one(cutter, experts[begin + i]);
      if (!cut) {
        held = cut.error();
      } else {
        cuts.push_back(std::move(*cut));
      }
    }
    source.release();
    if (!held) return held.error();
    begin += count;
  }
  return cuts;
}

void ExpertWindow::fill(const std::vector<CutOut>& experts) {
  experts_.clear();
  for (const CutOut& cut : experts) experts_[cut.name] = cut.grains;
}

uint64_t ExpertWindow::bytes() const {
  uint64_t sum = 0;
  for (const auto& [name, grains] : experts_) sum += grains->size();
  return sum;
}

Result<GrainView> ExpertWindow::fetch(GrainId id) {
  auto found = experts_.find({id.layer, id.expert});
  if (found == experts_.end()) {
    return Error{
        ErrorCode::kNotFound,
        fmt::format("expert {} of layer {} is with the workers alone", id.expert, id.layer)};
  }
  uint64_t begin = 0;
  for (uint16_t grain = 0; grain < id.grain; ++grain) {
    begin += cutter_.grain_bytes({id.layer, id.expert, grain});
  }
  ByteSpan grains = found->second->span();
  return GrainView{grains.subspan(begin, cutter_.grain_bytes(id)), found->second};
}

}  // namespace potluck
