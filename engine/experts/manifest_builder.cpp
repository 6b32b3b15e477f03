// Layer by layer, with as many experts at a time as there are threads: cutting and hashing run in
// parallel, the store is written by one thread, in order, so that the grains of an expert lie one
// after another.
#include "engine/experts/manifest_builder.h"

#include <algorithm>

#include "engine/base/buffer.h"

namespace potluck {

// One expert on its way into the manifest.
struct ManifestBuilder::CutExpert {
  uint32_t expert = 0;
  Buffer bytes;                 // all grains, one after the other
  std::vector<Digest> digests;  // [grains]
  Status status;
};

Result<Manifest> ManifestBuilder::build(const std::string& model_name, const Progress& progress) {
  std::vector<ManifestLayer> layers;
  done_bytes_ = 0;
  total_bytes_ = cutter_.total_bytes();
  for (const ExpertBank& bank : cutter_.banks()) {
    layers.push_back({bank.layer, bank.experts, bank.shape, cutter_.plan(bank.layer), {}});
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    Status built = build_layer(cutter_.banks()[i], progress, &layers[i]);
    if (!built) return built.error();
  }
  if (store_ != nullptr) {
    if (Status flushed = store_->flush(); !flushed) return flushed.error();
  }
  std::sort(layers.begin(), layers.end(),
            [](const ManifestLayer& a, const ManifestLayer& b) { return a.layer < b.layer; });
  // The digests may come from records, which are as little trusted as any file.
  if (Status lengths = check_grain_lengths(layers); !lengths) {
    return lengths.error().in("what the store's records say; remove it to build it anew");
  }
  return Manifest(model_name, std::move(layers));
}

// Cuts the experts whose digests are not known or whose grains are not in the store, one per thread
// at a time.
Status ManifestBuilder::build_layer(const ExpertBank& bank, const Progress& progress,
                                    ManifestLayer* layer) {
  size_t grains = size_t{bank.experts} * layer->plan.grains;
  std::optional<std::vector<Digest>> known;
  if (records_ != nullptr) known = records_->load(bank.layer, grains);
  if (known) layer->grains = *known;
  layer->grains.resize(grains);
  uint64_t expert_bytes = cutter_.expert_bytes(bank.layer);
  std::vector<CutExpert> batch(static_cast<size_t>(pool_.threads()));
  for (uint32_t next = 0; next < bank.experts;) {
    size_t count = 0;
    for (; next < bank.experts && count < batch.size(); ++next) {
      if (known && complete(*layer, next)) {
        done_bytes_ += expert_bytes;
      } else {
        batch[count++].expert = next;
      }
    }
    std::span<CutExpert> experts = std::span(batch).first(count);
    if (Status done = cut(bank.layer, experts); !done) return done;
    for (CutExpert& expert : experts) {
      if (Status taken = take(expert, layer); !taken) return taken;
      done_bytes_ += expert_bytes;
    }
    if (progress) progress(done_bytes_, total_bytes_);
  }
  if (records_ == nullptr || (known && *known == layer->grains)) return {};
  return records_->save(bank.layer, layer->grains);
}

// Whether the digests of the expert are known and, with a store, its grains are in it.
bool ManifestBuilder::complete(const ManifestLayer& layer, uint32_t expert) const {
  if (store_ == nullptr) return true;
  auto first = layer.grains.begin() + static_cast<ptrdiff_t>(expert * layer.plan.grains);
  return std::all_of(first, first + layer.plan.grains,
                     [this](const Digest& digest) { return store_->contains(digest); });
}

Status ManifestBuilder::cut(uint32_t layer, std::span<CutExpert> experts) {
  const ChunkPlan& plan = cutter_.plan(layer);
  uint64_t bytes = cutter_.expert_bytes(layer);
  pool_.run(experts.size(), [&](size_t i, int) {
    CutExpert& expert = experts[i];
    if (expert.bytes.size() != bytes) expert.bytes = Buffer(bytes);
    expert.status = cutter_.cut_expert(layer, expert.expert, expert.bytes.span());
    expert.digests.clear();
    ByteSpan rest = expert.bytes.span();
    for (uint16_t grain = 0; grain < plan.grains && expert.status; ++grain) {
      uint64_t length = cutter_.grain_bytes({static_cast<uint16_t>(layer), 0, grain});
      expert.digests.push_back(sha256(rest.first(length)));
      rest = rest.subspan(length);
    }
  });
  for (const CutExpert& expert : experts) {
    if (!expert.status) return expert.status;
  }
  return {};
}

Status ManifestBuilder::take(const CutExpert& expert, ManifestLayer* layer) {
  ByteSpan rest = expert.bytes.span();
  for (uint32_t grain = 0; grain < layer->plan.grains; ++grain) {
    const Digest& digest = expert.digests[grain];
    layer->grains[size_t{expert.expert} * layer->plan.grains + grain] = digest;
    if (store_ == nullptr) continue;
    uint64_t length =
        cutter_.grain_bytes({static_cast<uint16_t>(layer->layer), 0, static_cast<uint16_t>(grain)});
    // The digest was computed from these very bytes a moment ago.
    if (Status put = store_->put_trusted(digest, rest.first(length)); !put) return put;
    rest = rest.subspan(length);
  }
  return {};
}

Result<Manifest> build_manifest(const GrainCutter& cutter, const std::string& model_name,
                                const Progress& progress) {
  ThreadPool pool(1);
  return ManifestBuilder(cutter, pool, nullptr, nullptr).build(model_name, progress);
}

}  // namespace potluck
