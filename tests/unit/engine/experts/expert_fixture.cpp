#include "tests/unit/engine/experts/expert_fixture.h"

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "tests/support/block_scales.h"
#include "tests/support/gguf_builder.h"

namespace potluck::test {
namespace {

void put_half(std::byte* to, float value) {
  store(to, float_to_half(value));
}

// A random block whose values lie within about [-1, 1]; every bit of the quants is random.
void fill_block(TensorType type, const CounterRandom& random, uint64_t position, std::byte* block) {
  const BlockFormat& format = block_format(type);
  for (uint32_t i = 0; i < format.block_bytes; ++i) {
    block[i] = static_cast<std::byte>(random.bits(position, i) & 0xff);
  }
  auto value = static_cast<float>(random.uniform(position, 1000) - 0.5);
  switch (type) {
    case TensorType::kF32:
      return store(block, value);
    case TensorType::kF16:
      return put_half(block, value);
    case TensorType::kBF16:
      return store(block, static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
    case TensorType::kQ4_0:
      return put_half(block, value / 8);
    case TensorType::kQ8_0:
      return put_half(block, value / 128);
    case TensorType::kQ4_K:
      put_half(block, value / 500);
      return put_half(block + 2, value / 100);
    case TensorType::kQ6_K:
      return put_half(block + 208, value / 2000);
    default:
      return set_largest_value(type, value, block);
  }
}

ByteVector random_tensor(TensorType type, uint64_t values, uint64_t seed) {
  const BlockFormat& format = block_format(type);
  CounterRandom random(seed);
  ByteVector bytes(values / format.block_elements * format.block_bytes);
  for (uint64_t block = 0; block < values / format.block_elements; ++block) {
    fill_block(type, random, block, bytes.data() + block * format.block_bytes);
  }
  return bytes;
}

GgufBuilder::Tensor make_tensor(std::string name, TensorType type, std::vector<uint64_t> dimensions,
                                uint64_t seed) {
  uint64_t values = 1;
  for (uint64_t dimension : dimensions) values *= dimension;
  return {std::move(name),
          static_cast<uint32_t>(type),
          std::move(dimensions),
          random_tensor(type, values, seed),
          {}};
}

std::vector<GgufBuilder::Tensor> make_layer(const FixtureLayer& layer, uint64_t seed) {
  const ExpertShape& shape = layer.shape;
  auto name = [&](const char* part, bool bias) { return tensor_name(layer.layer, part, bias); };
  uint64_t base = mix64(seed + layer.layer);
  std::vector<GgufBuilder::Tensor> tensors;
  std::vector<uint64_t> wide{shape.hidden, shape.width, layer.experts};
  if (layer.joined) {
    std::vector<uint64_t> both{shape.hidden, 2 * uint64_t{shape.width}, layer.experts};
    tensors.push_back(make_tensor(name("gate_up", false), shape.up, both, base));
  } else {
    if (shape.gated()) tensors.push_back(make_tensor(name("gate", false), shape.gate, wide, base));
    tensors.push_back(make_tensor(name("up", false), shape.up, wide, base + 1));
  }
  tensors.push_back(make_tensor(name("down", false), shape.down,
                                {shape.width, shape.hidden, layer.experts}, base + 2));
  if (shape.scales) {  // up has none: then it is 1
    auto scale = [&](const char* part) { return scale_name(layer.layer, part); };
    tensors.push_back(make_tensor(scale("gate"), TensorType::kF32, {layer.experts}, base + 6));
    tensors.push_back(make_tensor(scale("down"), TensorType::kBF16, {layer.experts}, base + 7));
  }
  if (!shape.biases) return tensors;
  std::vector<uint64_t> columns{shape.width, layer.experts};
  tensors.push_back(make_tensor(name("gate", true), TensorType::kF32, columns, base + 3));
  tensors.push_back(make_tensor(name("up", true), TensorType::kF32, columns, base + 4));
  tensors.push_back(
      make_tensor(name("down", true), TensorType::kF32, {shape.hidden, layer.experts}, base + 5));
  return tensors;
}

ExpertBank make_bank(const GgufModel& model, const FixtureLayer& layer) {
  auto find = [&](const char* part, bool bias) {
    return model.find(tensor_name(layer.layer, part, bias));
  };
  auto scale = [&](const char* part) { return model.find(scale_name(layer.layer, part)); };
  return {layer.layer,        layer.experts,       layer.shape,        find("gate", false),
          find("up", false),  find("down", false), find("gate", true), find("up", true),
          find("down", true), scale("gate"),       scale("up"),        scale("down")};
}

SourceMatrix slice(const GgufModel& model, const GgufTensor& tensor, uint64_t first_row,
                   uint32_t rows) {
  SourceMatrix matrix{tensor.type, rows, static_cast<uint32_t>(tensor.columns()), {}};
  ByteVector all = model.read_all(tensor).value();
  auto begin = all.begin() + static_cast<ptrdiff_t>(first_row * tensor.row_bytes());
  matrix.bytes.assign(begin, begin + static_cast<ptrdiff_t>(rows * tensor.row_bytes()));
  return matrix;
}

std::vector<float> bias_of(const GgufModel& model, const GgufTensor* tensor, uint32_t expert) {
  if (tensor == nullptr) return {};
  std::vector<float> all = model.read_floats(*tensor).value();
  auto columns = static_cast<ptrdiff_t>(tensor->columns());
  return {all.begin() + expert * columns, all.begin() + (expert + 1) * columns};
}

float scale_of(const GgufModel& model, const GgufTensor* tensor, uint32_t expert) {
  return tensor == nullptr ? 1 : model.read_floats(*tensor).value()[expert];
}

}  // namespace

std::string scale_name(uint32_t layer, const std::string& part) {
  return fmt::format("blk.{}.ffn_{}_exps.scale", layer, part);
}

std::string tensor_name(uint32_t layer, const std::string& part, bool bias) {
  return fmt::format("blk.{}.ffn_{}_exps.{}", layer, part, bias ? "bias" : "weight");
}

const std::byte* SourceMatrix::row(uint32_t index) const {
  return bytes.data() + uint64_t{index} * (bytes.size() / rows);
}

std::vector<float> SourceMatrix::decode() const {
  std::vector<float> values(uint64_t{rows} * columns);
  block_format(type).decode(bytes.data(), values.size(), values.data());
  return values;
}

ExpertFixture::ExpertFixture(std::vector<FixtureLayer> layers, uint64_t seed, const Poke& poke) {
  GgufBuilder file;
  for (const FixtureLayer& layer : layers) {
    for (GgufBuilder::Tensor& tensor : make_layer(layer, seed)) {
      if (poke) poke(tensor.name, tensor.data);
      file.tensor(std::move(tensor));
    }
  }
  CHECK(storage_.write_atomic("model.gguf", file.build()).ok());
  Result<GgufModel> opened = GgufModel::open(storage_, "model.gguf");
  CHECK(opened.ok());
  model_ = std::make_unique<GgufModel>(std::move(*opened));
  for (const FixtureLayer& layer : layers) {
    banks_.push_back(make_bank(*model_, layer));
    CHECK(check_expert_bank(banks_.back()).ok());
  }
  cutter_ = std::make_unique<GrainCutter>(*model_, banks_);
}

SourceExpert ExpertFixture::expert(uint32_t layer, uint32_t expert) const {
  const ExpertBank& bank = *cutter_->bank(layer);
  const uint32_t width = bank.shape.width;
  const uint32_t hidden = bank.shape.hidden;
  const uint64_t row = uint64_t{expert} * width;
  return {bank.shape.gated() ? slice(*model_, *bank.gate, row, width) : SourceMatrix{},
          slice(*model_, *bank.up, row, width),
          slice(*model_, *bank.down, uint64_t{expert} * hidden, hidden),
          bias_of(*model_, bank.gate_bias, expert),
          bias_of(*model_, bank.up_bias, expert),
          bias_of(*model_, bank.down_bias, expert),
          {scale_of(*model_, bank.gate_scale, expert), scale_of(*model_, bank.up_scale, expert),
           scale_of(*model_, bank.down_scale, expert)}};
}

ByteVector ExpertFixture::cut(GrainId id) const {
  ByteVector grain(cutter_->grain_bytes(id), std::byte{0xee});
  CHECK(cutter_->cut(id, grain).ok());
  return grain;
}

}  // namespace potluck::test
