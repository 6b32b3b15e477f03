#include "tests/unit/worker/sample_model.h"

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/experts/manifest_builder.h"
#include "tests/support/finish_batch.h"
#include "tests/support/gguf_builder.h"

namespace potluck::test {
namespace {

struct SampleLayer {
  uint32_t layer;
  ExpertShape shape;
};

std::vector<SampleLayer> sample_layers() {
  ExpertShape super{256, 512, TensorType::kQ4_K, TensorType::kQ4_K, TensorType::kQ6_K};
  ExpertShape blocks{128, 256, TensorType::kQ8_0, TensorType::kQ8_0, TensorType::kQ8_0};
  ExpertShape floats{40, 256, TensorType::kF32, TensorType::kF32, TensorType::kF32};
  return {{SampleModel::kSuperBlocks, super},
          {SampleModel::kBlocks, blocks},
          {SampleModel::kFloats, floats}};
}

// Random quants under scales of the usual size.
Bytes random_weights(TensorType type, uint64_t values, uint64_t seed) {
  const BlockFormat& format = block_format(type);
  CounterRandom random(seed);
  Bytes bytes(values / format.block_elements * format.block_bytes);
  for (uint64_t at = 0; at < bytes.size(); ++at) {
    bytes[at] = static_cast<std::byte>(random.bits(at) & 0xff);
  }
  for (uint64_t at = 0; at < bytes.size(); at += format.block_bytes) {
    auto value = static_cast<float>(random.uniform(at, 1) - 0.5);
    std::byte* block = bytes.data() + at;
    if (type == TensorType::kF32) store(block, value);
    if (type == TensorType::kQ8_0) store(block, float_to_half(value / 128));
    if (type == TensorType::kQ4_K) store(block, float_to_half(value / 500));
    if (type == TensorType::kQ4_K) store(block + 2, float_to_half(value / 100));
    if (type == TensorType::kQ6_K) store(block + 208, float_to_half(value / 2000));
  }
  return bytes;
}

std::string tensor_name(uint32_t layer, const char* part) {
  return fmt::format("blk.{}.ffn_{}_exps.weight", layer, part);
}

void add_tensor(GgufBuilder& builder, const std::string& name, TensorType type, uint64_t columns,
                uint64_t rows, uint64_t seed) {
  uint64_t values = columns * rows * SampleModel::kExperts;
  builder.tensor({name,
                  static_cast<uint32_t>(type),
                  {columns, rows, SampleModel::kExperts},
                  random_weights(type, values, seed),
                  std::nullopt});
}

Bytes sample_file(uint64_t seed) {
  GgufBuilder builder;
  for (const auto& [layer, shape] : sample_layers()) {
    uint64_t own = mix64(seed + layer);
    add_tensor(builder, tensor_name(layer, "gate"), shape.gate, shape.hidden, shape.width, own);
    add_tensor(builder, tensor_name(layer, "up"), shape.up, shape.hidden, shape.width, own + 1);
    add_tensor(builder, tensor_name(layer, "down"), shape.down, shape.width, shape.hidden, own + 2);
  }
  return builder.build();
}

const KernelTable& scalar_kernels() {
  return *available_kernels().front();
}

}  // namespace

ExpertBatch SampleBatch::view() const {
  ExpertBatch batch;
  batch.layer = layer;
  batch.top_k = top_k;
  batch.input = input.view();
  batch.fraction_bits = fraction_bits;
  batch.experts = experts;
  batch.weights = weights;
  return batch;
}

SampleModel::SampleModel(uint64_t seed) {
  CHECK(storage_.write_atomic("model.gguf", sample_file(seed)).ok());
  Result<GgufModel> opened = GgufModel::open(storage_, "model.gguf");
  CHECK(opened.ok());
  file_ = std::make_unique<GgufModel>(std::move(*opened));
  for (const auto& [layer, shape] : sample_layers()) {
    ExpertBank bank;
    bank.layer = layer;
    bank.experts = kExperts;
    bank.shape = shape;
    bank.gate = file_->find(tensor_name(layer, "gate"));
    bank.up = file_->find(tensor_name(layer, "up"));
    bank.down = file_->find(tensor_name(layer, "down"));
    CHECK(check_expert_bank(bank).ok());
    banks_.push_back(bank);
  }
  cutter_ = std::make_unique<GrainCutter>(*file_, banks_);
  Result<Manifest> manifest = build_manifest(*cutter_, "sample");
  CHECK(manifest.ok());
  manifest_ = std::make_unique<Manifest>(std::move(*manifest));
  auto source = ResidentSource::load(*cutter_, {});
  CHECK(source.ok());
  source_ = std::move(*source);
}

ByteVector SampleModel::grain(GrainId id) const {
  ByteVector bytes(cutter_->grain_bytes(id));
  CHECK(cutter_->cut(id, bytes).ok());
  return bytes;
}

std::vector<UnitId> SampleModel::units(uint32_t slices) const {
  std::vector<UnitId> units;
  for (const ManifestLayer& layer : manifest_->layers()) {
    for (uint32_t expert = 0; expert < layer.experts; ++expert) {
      for (uint32_t slice = 0; slice < slices; ++slice) {
        units.push_back({static_cast<uint16_t>(layer.layer), static_cast<uint16_t>(expert),
                         static_cast<uint16_t>(slice)});
      }
    }
  }
  return units;
}

SampleBatch SampleModel::batch(uint32_t layer, uint32_t tokens, uint32_t top_k,
                               uint64_t seed) const {
  const ExpertShape& shape = cutter_->bank(layer)->shape;
  CounterRandom random(seed);
  SampleBatch batch;
  batch.layer = layer;
  batch.top_k = top_k;
  batch.input.reset(shape.input_form(), tokens, shape.hidden);
  uint32_t block = activation_block(shape.input_form());
  std::vector<float> row(shape.hidden);
  for (uint32_t t = 0; t < tokens; ++t) {
    for (uint32_t i = 0; i < shape.hidden; ++i) {
      row[i] = static_cast<float>(random.uniform(t, i) - 0.5);
    }
    if (shape.input_form() == ActivationForm::kF32) {
      std::copy(row.begin(), row.end(), batch.input.values().begin() + t * shape.hidden);
    } else {
      scalar_kernels().quantize(row.data(), shape.hidden, block,
                                batch.input.quants().data() + t * shape.hidden,
                                batch.input.scales().data() + t * (shape.hidden / block),
                                batch.input.sums().data() + t * (shape.hidden / 16));
    }
    batch.fraction_bits.push_back(static_cast<int32_t>(20 + random.bits(t, 1 << 20) % 8));
    for (uint32_t k = 0; k < top_k; ++k) {
      auto first = static_cast<uint32_t>(random.bits(t, 1 << 21) % kExperts);
      batch.experts.push_back((first + k) % kExperts);
      batch.weights.push_back(static_cast<float>(random.uniform(t, (1 << 22) + k)));
    }
  }
  return batch;
}

ExpertSums SampleModel::solo(const SampleBatch& batch) const {
  ThreadPool threads(1);
  ExpertCompute compute(scalar_kernels(), threads);
  LocalExecutor executor(*cutter_, *source_, compute);
  ExpertSums sums;
  ExpertBatch view = batch.view();
  CHECK(finish(executor, executor.submit(view, &sums)).ok());
  return sums;
}

}  // namespace potluck::test
