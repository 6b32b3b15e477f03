#include "worker/unit_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "protocol/report_limits.h"

namespace potluck {
namespace {

// Grain digests repeat where experts are alike; a unit counts each digest once.
bool waits_already(const std::vector<UnitId>& waiting, UnitId unit) {
  return !waiting.empty() && waiting.back() == unit;
}

// The same units, first the first of each layer, then the second of each, and so on.
std::vector<UnitId> in_turns(const std::vector<UnitId>& units) {
  std::unordered_map<uint16_t, uint32_t> seen;  // units by layer
  std::vector<std::pair<uint32_t, UnitId>> ranked;
  ranked.reserve(units.size());
  for (UnitId unit : units) ranked.emplace_back(seen[unit.layer]++, unit);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<UnitId> turns;
  turns.reserve(units.size());
  for (const auto& [rank, unit] : ranked) turns.push_back(unit);
  return turns;
}

std::vector<UnitId> take_front(std::vector<UnitId>& units) {
  size_t count = std::min<size_t>(limits::kUnitsPerReport, units.size());
  auto end = units.begin() + static_cast<ptrdiff_t>(count);
  std::vector<UnitId> front(units.begin(), end);
  units.erase(units.begin(), end);
  return front;
}

}  // namespace

Status check_assignment(const Assignment& assignment, const Manifest& manifest) {
  if (assignment.slices == 0 || assignment.slices > limits::kSlices) {
    return Error{ErrorCode::kLimit, fmt::format("assignment: {} slices, expected 1 to {}",
                                                assignment.slices, limits::kSlices)};
  }
  for (UnitId unit : assignment.units) {
    const ManifestLayer* layer = manifest.layer(unit.layer);
    if (layer == nullptr || unit.expert >= layer->experts || unit.slice >= assignment.slices) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("assignment: the model has no slice {} of {} of expert {} in layer "
                               "{}",
                               unit.slice, assignment.slices, unit.expert, unit.layer)};
    }
  }
  return {};
}

GrainRange UnitTable::grains_of(UnitId unit) const {
  const ManifestLayer* layer = manifest_->layer(unit.layer);
  CHECK(layer != nullptr);
  return slice_grains(layer->plan.grains, unit.slice, slices_);
}

const Digest& UnitTable::digest_of(UnitId unit, uint32_t grain) const {
  return manifest_->digest_of({unit.layer, unit.expert, static_cast<uint16_t>(grain)});
}

std::vector<MissingGrain> UnitTable::assign(const Assignment& assignment, const Manifest& manifest,
                                            const GrainStore& store) {
  clear();
  manifest_ = &manifest;
  slices_ = assignment.slices;
  std::vector<MissingGrain> missing;
  for (UnitId unit : in_turns(assignment.units)) {
    auto [entry, fresh] = units_.emplace(unit, 0);
    if (!fresh) continue;  // named twice
    GrainRange range = grains_of(unit);
    for (uint32_t grain = range.first; grain < range.first + range.count; ++grain) {
      const Digest& digest = digest_of(unit, grain);
      if (store.contains(digest)) continue;
      std::vector<UnitId>& waiting = waiting_[digest];
      if (waits_already(waiting, unit)) continue;
      if (waiting.empty()) {
        GrainId id{unit.layer, unit.expert, static_cast<uint16_t>(grain)};
        missing.push_back({digest, id, manifest.grain_bytes(id), unit});
      }
      waiting.push_back(unit);
      ++entry->second;
    }
    if (entry->second == 0) ++ready_count_;
  }
  report_again();
  return missing;
}

void UnitTable::clear() {
  manifest_ = nullptr;
  units_.clear();
  waiting_.clear();
  ready_count_ = 0;
  new_ready_.clear();
  new_lost_.clear();
}

void UnitTable::grain_stored(const Digest& digest) {
  auto found = waiting_.find(digest);
  if (found == waiting_.end()) return;
  for (UnitId unit : found->second) {
    uint32_t& missing = units_.at(unit);
    if (--missing > 0) continue;
    ++ready_count_;
    new_ready_.push_back(unit);
  }
  waiting_.erase(found);
}

std::vector<UnitId> UnitTable::grain_lost(const Digest& digest) {
  std::vector<UnitId> lost;
  if (waiting_.contains(digest)) return lost;  // known
  for (auto& [unit, missing] : units_) {
    GrainRange range = grains_of(unit);
    bool affected = false;
    for (uint32_t grain = 0; grain < range.count && !affected; ++grain) {
      affected = digest_of(unit, range.first + grain) == digest;
    }
    if (!affected) continue;
    waiting_[digest].push_back(unit);
    if (++missing > 1) continue;
    --ready_count_;
    lost.push_back(unit);
  }
  std::sort(lost.begin(), lost.end());
  std::erase_if(new_ready_,
                [&](UnitId unit) { return std::binary_search(lost.begin(), lost.end(), unit); });
  new_lost_.insert(new_lost_.end(), lost.begin(), lost.end());
  return lost;
}

std::optional<GrainId> UnitTable::find_grain(const Digest& digest) const {
  for (const auto& [unit, missing] : units_) {
    GrainRange range = grains_of(unit);
    for (uint32_t grain = range.first; grain < range.first + range.count; ++grain) {
      if (digest_of(unit, grain) != digest) continue;
      return GrainId{unit.layer, unit.expert, static_cast<uint16_t>(grain)};
    }
  }
  return std::nullopt;
}

bool UnitTable::ready(UnitId unit) const {
  auto found = units_.find(unit);
  return found != units_.end() && found->second == 0;
}

void UnitTable::collect_grains(std::unordered_set<Digest>* out) const {
  for (const auto& [unit, missing] : units_) {
    GrainRange range = grains_of(unit);
    for (uint32_t grain = 0; grain < range.count; ++grain) {
      out->insert(digest_of(unit, range.first + grain));
    }
  }
}

// Losses come first: a unit that was lost and is ready again must end up ready.
void UnitTable::take_report(Residency* out) {
  out->lost = take_front(new_lost_);
  if (new_lost_.empty()) out->ready = take_front(new_ready_);
  std::erase_if(out->lost, [&](UnitId unit) { return ready(unit); });
}

void UnitTable::report_again() {
  new_ready_.clear();
  for (const auto& [unit, missing] : units_) {
    if (missing == 0) new_ready_.push_back(unit);
  }
  std::sort(new_ready_.begin(), new_ready_.end());
}

}  // namespace potluck
