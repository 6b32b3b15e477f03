#include "worker/unit_table.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "protocol/report_limits.h"

namespace potluck {
namespace {

// Units that a model has when its experts are cut into that many slices, empty ones included.
uint64_t count_units(const Manifest& manifest, uint32_t slices) {
  uint64_t experts = 0;
  for (const ManifestLayer& layer : manifest.layers()) experts += layer.experts;
  return experts * slices;
}

bool before(UnitId a, UnitId b) {
  return a < b;
}

// Takes at most so many from the front.
std::vector<UnitId> take_front(std::vector<UnitId>* units, size_t most) {
  auto end = units->begin() + static_cast<ptrdiff_t>(std::min(most, units->size()));
  std::vector<UnitId> front(units->begin(), end);
  units->erase(units->begin(), end);
  return front;
}

}  // namespace

Status check_assignment(const Assignment& assignment, const Manifest& manifest) {
  if (assignment.slices == 0 || assignment.slices > limits::kSlices) {
    return Error{ErrorCode::kLimit, fmt::format("assignment: {} slices, expected 1 to {}",
                                                assignment.slices, limits::kSlices)};
  }
  if (uint64_t all = count_units(manifest, assignment.slices); assignment.units.size() > all) {
    return Error{ErrorCode::kLimit, fmt::format("assignment: {} units, the model has {}",
                                                assignment.units.size(), all)};
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

// --- the manifest's part ---

GrainRange UnitTable::grains_of(UnitId unit) const {
  const ManifestLayer* layer = manifest_->layer(unit.layer);
  CHECK(layer != nullptr);
  return slice_grains(layer->plan.grains, unit.slice, slices_);
}

const Digest& UnitTable::digest_of(UnitId unit, uint32_t grain) const {
  return manifest_->digest_of({unit.layer, unit.expert, static_cast<uint16_t>(grain)});
}

bool UnitTable::complete(UnitId unit, const GrainStore& store) const {
  GrainRange range = grains_of(unit);
  for (uint32_t i = 0; i < range.count; ++i) {
    GrainId grain{unit.layer, unit.expert, static_cast<uint16_t>(range.first + i)};
    const Digest& digest = manifest_->digest_of(grain);
    if (!store.contains(digest) || !store.contains(digest, manifest_->grain_bytes(grain))) {
      return false;
    }
  }
  return true;
}

// Grain digests repeat where experts are alike: each is named once.
std::vector<MissingGrain> UnitTable::missing_of(UnitId unit, const GrainStore& store) const {
  std::vector<MissingGrain> missing;
  std::set<Digest> named;
  GrainRange range = grains_of(unit);
  for (uint32_t i = 0; i < range.count; ++i) {
    GrainId grain{unit.layer, unit.expert, static_cast<uint16_t>(range.first + i)};
    const Digest& digest = manifest_->digest_of(grain);
    uint64_t bytes = manifest_->grain_bytes(grain);
    if (store.contains(digest, bytes) || !named.insert(digest).second) continue;
    missing.push_back({digest, grain, bytes, unit});
  }
  return missing;
}

uint64_t UnitTable::bytes_of(UnitId unit) const {
  GrainRange range = grains_of(unit);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < range.count; ++i) {
    bytes +=
        manifest_->grain_bytes({unit.layer, unit.expert, static_cast<uint16_t>(range.first + i)});
  }
  return bytes;
}

// --- an assignment ---

void UnitTable::assign(const Assignment& assignment, const Manifest& manifest,
                       const GrainStore& store) {
  clear();
  manifest_ = &manifest;
  slices_ = assignment.slices;
  take_units(assignment);
  for (Unit& unit : units_) {
    if (!complete(unit.id, store)) continue;
    unit.state = State::kReady;
    ++ready_count_;
  }
  order_waiting();
  // All that is ready, once more: reports about an earlier assignment do not count any more.
  report_again();
}

// Units may be named in any order, and twice. Sorted, and each once, they are found by halving,
// without the memory that a map would take.
void UnitTable::take_units(const Assignment& assignment) {
  std::vector<uint32_t> sorted(assignment.units.size());
  std::iota(sorted.begin(), sorted.end(), 0u);
  auto id = [&](uint32_t index) { return assignment.units[index]; };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](uint32_t a, uint32_t b) { return before(id(a), id(b)); });
  auto last = std::unique(sorted.begin(), sorted.end(),
                          [&](uint32_t a, uint32_t b) { return id(a) == id(b); });
  sorted.erase(last, sorted.end());
  units_.reserve(sorted.size());
  for (uint32_t index : sorted) units_.push_back({id(index)});
  if (assignment.holders.size() != assignment.units.size()) return;
  holders_begin_.reserve(sorted.size() + 1);
  for (uint32_t index : sorted) {
    holders_begin_.push_back(static_cast<uint32_t>(holders_.size()));
    const std::vector<SourceId>& holders = assignment.holders[index];
    size_t count = std::min<size_t>(holders.size(), limits::kHoldersPerUnit);
    holders_.insert(holders_.end(), holders.begin(),
                    holders.begin() + static_cast<ptrdiff_t>(count));
  }
  holders_begin_.push_back(static_cast<uint32_t>(holders_.size()));
}

// First the first of each layer, then the second of each, and so on.
void UnitTable::order_waiting() {
  std::vector<std::vector<uint32_t>> layers;  // last first
  for (uint32_t i = static_cast<uint32_t>(units_.size()); i-- > 0;) {
    if (units_[i].state != State::kWaiting) continue;
    bool same = !layers.empty() && units_[layers.back().back()].id.layer == units_[i].id.layer;
    if (!same) layers.emplace_back();
    layers.back().push_back(i);
  }
  std::reverse(layers.begin(), layers.end());
  while (!layers.empty()) {
    for (std::vector<uint32_t>& layer : layers) {
      order_.push_back(layer.back());
      layer.pop_back();
    }
    std::erase_if(layers, [](const auto& layer) { return layer.empty(); });
  }
}

void UnitTable::clear() {
  manifest_ = nullptr;
  units_ = {};
  holders_begin_ = {};
  holders_ = {};
  order_ = {};
  waiting_for_ = {};
  postponed_.clear();
  ready_count_ = 0;
  new_ready_.clear();
  new_lost_.clear();
}

const UnitTable::Unit* UnitTable::find(UnitId unit) const {
  auto found = std::lower_bound(units_.begin(), units_.end(), unit,
                                [](const Unit& a, UnitId b) { return before(a.id, b); });
  return found != units_.end() && found->id == unit ? &*found : nullptr;
}

std::span<const SourceId> UnitTable::holders_of(UnitId unit) const {
  const Unit* found = find(unit);
  if (found == nullptr || holders_begin_.empty()) return {};
  size_t index = index_of(*found);
  uint32_t begin = holders_begin_[index];
  return std::span(holders_).subspan(begin, holders_begin_[index + 1] - begin);
}

std::optional<UnitId> UnitTable::unit_in_need_of(const MissingGrain& grain) const {
  if (manifest_ == nullptr || !manifest_->contains(grain.grain)) return std::nullopt;
  if (manifest_->digest_of(grain.grain) != grain.digest) return std::nullopt;
  uint32_t grains = manifest_->layer(grain.grain.layer)->plan.grains;
  // The slice that the grain lies in: slice_grains() the other way round.
  auto slice = static_cast<uint16_t>(((grain.grain.grain + 1u) * slices_ - 1) / grains);
  const Unit* unit = find({grain.grain.layer, grain.grain.expert, slice});
  if (unit == nullptr || unit->state == State::kReady) return std::nullopt;
  return unit->id;
}

// --- states ---

void UnitTable::make_ready(Unit& unit) {
  unit.state = State::kReady;
  unit.failures = 0;
  ++ready_count_;
  new_ready_.push_back(unit.id);
}

std::optional<UnitTable::OpenUnit> UnitTable::open_next(const GrainStore& store) {
  while (!order_.empty()) {
    uint32_t index = order_.front();
    order_.pop_front();
    Unit& unit = units_[index];
    std::vector<MissingGrain> missing = missing_of(unit.id, store);
    if (missing.empty()) {
      make_ready(unit);
      continue;
    }
    unit.state = State::kOpen;
    unit.missing = static_cast<uint16_t>(missing.size());
    for (const MissingGrain& grain : missing) waiting_for_[grain.digest].push_back(index);
    return OpenUnit{unit.id, unit.urgent, std::move(missing), holders_of(unit.id)};
  }
  return std::nullopt;
}

void UnitTable::grain_stored(const Digest& digest) {
  auto found = waiting_for_.find(digest);
  if (found == waiting_for_.end()) return;
  // Grains that are alike are one grain, so one may complete several units.
  for (uint32_t index : found->second) {
    Unit& unit = units_[index];
    if (--unit.missing == 0) make_ready(unit);
  }
  waiting_for_.erase(found);
}

bool UnitTable::waits_for(const Unit& unit, const Digest& digest) const {
  auto found = waiting_for_.find(digest);
  if (found == waiting_for_.end()) return false;
  auto index = static_cast<uint32_t>(index_of(unit));
  return std::find(found->second.begin(), found->second.end(), index) != found->second.end();
}

// Of an open unit; it has no state of its own then. Returns the grains that no other one needs.
std::vector<Digest> UnitTable::close(Unit& unit) {
  std::vector<Digest> unneeded;
  auto index = static_cast<uint32_t>(index_of(unit));
  GrainRange range = grains_of(unit.id);
  for (uint32_t i = 0; i < range.count; ++i) {
    const Digest& digest = digest_of(unit.id, range.first + i);
    auto found = waiting_for_.find(digest);
    if (found == waiting_for_.end() || std::erase(found->second, index) == 0) continue;
    if (!found->second.empty()) continue;
    unneeded.push_back(digest);
    waiting_for_.erase(found);
  }
  unit.missing = 0;
  return unneeded;
}

void UnitTable::wait_again(Unit& unit, bool first) {
  unit.state = State::kWaiting;
  auto index = static_cast<uint32_t>(index_of(unit));
  if (first) {
    order_.push_front(index);
  } else {
    order_.push_back(index);
  }
}

std::vector<Digest> UnitTable::postpone(const Digest& digest, TimePoint now) {
  auto found = waiting_for_.find(digest);
  if (found == waiting_for_.end()) return {};
  std::vector<Digest> unneeded;
  // A copy, since close() shortens the list.
  for (uint32_t index : std::vector<uint32_t>(found->second)) {
    Unit& unit = units_[index];
    std::vector<Digest> more = close(unit);
    unneeded.insert(unneeded.end(), more.begin(), more.end());
    Duration pause = kFirstRetry * (int64_t{1} << std::min<uint32_t>(unit.failures, 8));
    unit.failures = static_cast<uint8_t>(std::min(unit.failures + 1, 255));
    unit.state = State::kPostponed;
    postponed_.emplace(now + std::min(pause, kLongestRetry), index);
  }
  return unneeded;
}

void UnitTable::close_all() {
  std::vector<uint32_t> open;
  for (const auto& [digest, units] : waiting_for_) {
    open.insert(open.end(), units.begin(), units.end());
  }
  // From the last to the first, since each goes to the front: their order stays.
  std::sort(open.begin(), open.end(), std::greater<>());
  open.erase(std::unique(open.begin(), open.end()), open.end());
  waiting_for_.clear();
  for (uint32_t index : open) {
    units_[index].missing = 0;
    wait_again(units_[index], true);
  }
}

void UnitTable::on_tick(TimePoint now) {
  while (!postponed_.empty() && postponed_.begin()->first <= now) {
    wait_again(units_[postponed_.begin()->second], false);
    postponed_.erase(postponed_.begin());
  }
}

std::optional<TimePoint> UnitTable::next_tick() const {
  if (postponed_.empty()) return std::nullopt;
  return postponed_.begin()->first;
}

// Grains that are alike are one grain: all experts are looked through, which takes some
// milliseconds where the model has a million of them.
std::vector<UnitId> UnitTable::grain_lost(const Digest& digest) {
  std::vector<UnitId> lost;
  if (manifest_ == nullptr) return lost;
  for (const ManifestLayer& layer : manifest_->layers()) {
    for (size_t i = 0; i < layer.grains.size(); ++i) {
      if (layer.grains[i] != digest) continue;
      auto expert = static_cast<uint16_t>(i / layer.plan.grains);
      auto grain = static_cast<uint16_t>(i % layer.plan.grains);
      UnitId owner{static_cast<uint16_t>(layer.layer), expert,
                   static_cast<uint16_t>(((grain + 1u) * slices_ - 1) / layer.plan.grains)};
      Unit* unit = find(owner);
      if (unit == nullptr) continue;
      if (unit->state == State::kReady) {
        --ready_count_;
        lost.push_back(unit->id);
        unit->urgent = true;
        wait_again(*unit, true);
      } else if (unit->state == State::kOpen && !waits_for(*unit, digest)) {
        (void)close(*unit);  // what else it waits for is wanted again as soon as it is opened
        wait_again(*unit, true);
      }
    }
  }
  std::sort(lost.begin(), lost.end());
  std::erase_if(new_ready_,
                [&](UnitId unit) { return std::binary_search(lost.begin(), lost.end(), unit); });
  new_lost_.insert(new_lost_.end(), lost.begin(), lost.end());
  return lost;
}

void UnitTable::lose_all() {
  close_all();
  for (Unit& unit : units_) {
    if (unit.state != State::kReady) continue;
    new_lost_.push_back(unit.id);
    wait_again(unit, false);
  }
  ready_count_ = 0;
  new_ready_.clear();
}

bool UnitTable::ready(UnitId unit) const {
  const Unit* found = find(unit);
  return found != nullptr && found->state == State::kReady;
}

// --- accounts and reports ---

// 64 bits of each digest: there may be millions, and two that are alike by chance only keep one too
// many.
void UnitTable::collect_grains(std::vector<uint64_t>* out) const {
  for (const Unit& unit : units_) {
    GrainRange range = grains_of(unit.id);
    for (uint32_t i = 0; i < range.count; ++i) {
      out->push_back(std::hash<Digest>{}(digest_of(unit.id, range.first + i)));
    }
  }
}

// Units of one layer and slice are alike.
uint64_t UnitTable::sum_bytes(bool ready) const {
  std::unordered_map<uint32_t, uint64_t> lengths;
  uint64_t bytes = 0;
  for (const Unit& unit : units_) {
    if ((unit.state == State::kReady) != ready) continue;
    auto [known, fresh] = lengths.try_emplace(uint32_t{unit.id.layer} << 16 | unit.id.slice);
    if (fresh) known->second = bytes_of(unit.id);
    bytes += known->second;
  }
  return bytes;
}

uint64_t UnitTable::memory_bytes() const {
  constexpr uint64_t kOpenGrain = 128;  // a node of the map and its list
  constexpr uint64_t kPostponed = 64;   // a node of the tree
  return units_.capacity() * sizeof(Unit) + holders_begin_.capacity() * sizeof(uint32_t) +
         holders_.capacity() * sizeof(SourceId) + order_.size() * sizeof(uint32_t) +
         waiting_for_.size() * kOpenGrain + postponed_.size() * kPostponed +
         (new_ready_.capacity() + new_lost_.capacity()) * sizeof(UnitId);
}

// Losses come first: a unit that was lost and is ready again must end up ready.
void UnitTable::take_report(Residency* out) {
  out->lost = take_front(&new_lost_, limits::kUnitsPerReport);
  std::sort(out->lost.begin(), out->lost.end());
  out->lost.erase(std::unique(out->lost.begin(), out->lost.end()), out->lost.end());
  std::erase_if(out->lost, [&](UnitId unit) { return ready(unit); });
  if (new_lost_.empty()) out->ready = take_front(&new_ready_, limits::kUnitsPerReport);
}

void UnitTable::report_again() {
  new_ready_.clear();
  for (const Unit& unit : units_) {
    if (unit.state == State::kReady) new_ready_.push_back(unit.id);
  }
}

Status UnitTable::validate(const GrainStore& store) const {
  auto wrong = [](UnitId unit, const char* what) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("unit {}/{}/{}: {}", unit.layer, unit.expert, unit.slice, what)};
  };
  std::set<uint32_t> ordered(order_.begin(), order_.end());
  std::vector<size_t> missing(units_.size());
  size_t ready = 0;
  for (const auto& [digest, units] : waiting_for_) {
    if (units.empty()) return Error{ErrorCode::kInvalidArgument, "a grain that no unit needs"};
    for (uint32_t index : units) ++missing[index];
  }
  size_t postponed = 0;
  for (uint32_t i = 0; i < units_.size(); ++i) {
    const Unit& unit = units_[i];
    ready += unit.state == State::kReady ? 1 : 0;
    postponed += unit.state == State::kPostponed ? 1 : 0;
    if (ordered.contains(i) != (unit.state == State::kWaiting)) return wrong(unit.id, "order");
    if ((missing[i] > 0) != (unit.state == State::kOpen)) return wrong(unit.id, "open");
    if (missing[i] != unit.missing) return wrong(unit.id, "missing grains are miscounted");
    if (unit.state == State::kReady && !complete(unit.id, store)) return wrong(unit.id, "ready");
  }
  if (ready == ready_count_ && postponed == postponed_.size() && ordered.size() == order_.size()) {
    return {};
  }
  return Error{ErrorCode::kInvalidArgument, "units are miscounted"};
}

}  // namespace potluck
