#include "coordinator/spread/spreader.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {

Spreader::Spreader(SpreadFolder& folder, ExpertSource& source, const Manifest& outline,
                   const SigningKey& key, uint32_t slices, uint32_t copies, ExpertWindow& window,
                   uint64_t window_bytes)
    : folder_(folder),
      source_(source),
      outline_(outline),
      key_(key),
      window_(window),
      book_(outline, slices, copies, window_bytes) {}

Status Spreader::begin() {
  complete_ = load_complete();
  for (const ManifestLayer& layer : outline_.layers()) {
    if (complete_) break;
    known_[layer.layer] =
        folder_.layer(layer.layer, layer.experts, layer.plan.grains, layer.shape.panels());
  }
  auto any = std::ranges::any_of(known_, [](const auto& layer) { return !layer.second.empty(); });
  if (!any) {
    // A pool has a manifest from its first moment on, and an empty one would be none.
    const Step first = book_.next({}, false, TimePoint{0});
    auto cuts = read(first.experts);
    if (!cuts) return cuts.error();
    if (Status recorded = record(*cuts); !recorded) return recorded;
    window_.fill(*cuts);
    book_.hold(first.experts);
  }
  make_manifest();
  return {};
}

// The signed manifest of a spreading that came to its end, if it is this model's.
bool Spreader::load_complete() {
  if (!folder_.complete()) return false;
  Result<SignedManifest> stored = folder_.manifest();
  if (!stored) return false;
  Result<Manifest> manifest = verify_manifest(*stored, key_.public_key());
  if (!manifest || manifest->layers().size() != outline_.layers().size()) return false;
  for (size_t i = 0; i < outline_.layers().size(); ++i) {
    const ManifestLayer& found = manifest->layers()[i];
    const ManifestLayer& wanted = outline_.layers()[i];
    if (found.layer != wanted.layer || found.experts != wanted.experts ||
        found.grains.size() != wanted.grains.size() || found.shape != wanted.shape) {
      return false;
    }
  }
  for (const ManifestLayer& layer : manifest->layers()) known_[layer.layer] = layer.grains;
  return true;
}

// What was in memory is given up before more is read.
Spreader::Step Spreader::next(const CoordinatorCore& core, bool all_here, TimePoint now) {
  Step step = book_.next(core.cluster(), all_here, now);
  if (step.kind != Step::Kind::kWait) {
    window_.fill({});
    book_.hold({});
  }
  return step;
}

Result<std::vector<CutOut>> Spreader::read(std::span<const ExpertName> experts) {
  auto cuts = source_.read(experts);
  if (!cuts) return cuts;
  for (const CutOut& cut : *cuts) {
    if (Status same = check(cut); !same) return same.error();
  }
  return cuts;
}

// What is known already must be what it was.
Status Spreader::check(const CutOut& cut) const {
  const std::vector<Digest>& known = known_.at(cut.name.layer);
  const size_t at = cut.name.expert * cut.digests.size();
  if (at + cut.digests.size() > known.size()) return {};
  if (std::ranges::equal(cut.digests, std::span(known).subspan(at, cut.digests.size()))) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("expert {} of layer {} is not what it was when it was spread: the "
                           "source has changed",
                           cut.name.expert, cut.name.layer)};
}

Status Spreader::record(const std::vector<CutOut>& experts) {
  std::set<uint32_t> changed;
  for (const CutOut& cut : experts) {
    std::vector<Digest>& known = known_.at(cut.name.layer);
    if (cut.name.expert * cut.digests.size() < known.size()) continue;
    CHECK(cut.name.expert * cut.digests.size() == known.size());
    known.insert(known.end(), cut.digests.begin(), cut.digests.end());
    changed.insert(cut.name.layer);
  }
  for (uint32_t layer : changed) {
    const uint32_t panels = outline_.layer(layer)->shape.panels();
    if (Status saved = folder_.save_layer(layer, known_.at(layer), panels); !saved) {
      // Not known after all: the next attempt reads these experts again.
      for (const CutOut& cut : experts) {
        std::vector<Digest>& known = known_.at(cut.name.layer);
        known.resize(size_t{book_.known(cut.name.layer)} * cut.digests.size());
      }
      return saved;
    }
  }
  return {};
}

void Spreader::take(const std::vector<CutOut>& experts, CoordinatorCore& core) {
  std::vector<ExpertName> names;
  names.reserve(experts.size());
  for (const CutOut& cut : experts) names.push_back(cut.name);
  window_.fill(experts);
  book_.hold(std::move(names));
  const Digest before = sha256(manifest_->signed_manifest.body);
  make_manifest();
  if (sha256(manifest_->signed_manifest.body) != before) {
    core.manifest_grew();
  } else {
    core.assign_missing_again();
  }
}

// In the object that others refer to.
void Spreader::make_manifest() {
  std::vector<ManifestLayer> layers;
  for (const ManifestLayer& outline : outline_.layers()) {
    const std::vector<Digest>& known = known_.at(outline.layer);
    const auto experts = static_cast<uint32_t>(known.size() / outline.plan.grains);
    book_.know(outline.layer, experts);
    if (experts == 0) continue;
    layers.push_back({outline.layer, experts, outline.shape, outline.plan, known});
  }
  Manifest manifest(outline_.model_name(), std::move(layers));
  SignedManifest signed_manifest = sign_manifest(manifest, key_);
  if (manifest_ == nullptr) {
    manifest_ = std::make_unique<GrowingManifest>(
        GrowingManifest{std::move(manifest), std::move(signed_manifest)});
  } else {
    *manifest_ = {std::move(manifest), std::move(signed_manifest)};
  }
}

Status Spreader::complete() {
  if (!complete_) {
    if (Status saved = folder_.save_manifest(manifest_->signed_manifest); !saved) return saved;
  }
  complete_ = true;
  return {};
}

Manifest outline_of(const GrainCutter& cutter, const std::string& model_name) {
  std::vector<ManifestLayer> layers;
  for (const ExpertBank& bank : cutter.banks()) {
    const ChunkPlan& plan = cutter.plan(bank.layer);
    layers.push_back({bank.layer, bank.experts, bank.shape, plan,
                      std::vector<Digest>(size_t{bank.experts} * plan.grains)});
  }
  std::ranges::sort(layers, {}, &ManifestLayer::layer);
  return Manifest(model_name, std::move(layers));
}

}  // namespace potluck
