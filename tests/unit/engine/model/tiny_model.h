// TinyModel: a GGUF file of a few kilobytes with random float weights, for tests that change one
// thing in it. The file lies in memory. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "engine/model/model.h"
#include "tests/support/block_scales.h"
#include "tests/support/gguf_builder.h"

namespace potluck::test {

struct TinyTensor {
  std::vector<uint64_t> dimensions;
  std::vector<float> values;
  TensorType type = TensorType::kF32;
  Bytes blocks = {};  // empty for F32
};

class TinyModel {
 public:
  static constexpr uint32_t kLayers = 2, kHidden = 32, kVocabulary = 48, kHeads = 4, kKvHeads = 2,
                            kHeadDim = 8, kExperts = 6, kTopK = 2, kWidth = 32;

  // What a test may change before build().
  std::string architecture;
  std::map<std::string, uint32_t> counts;  // keys without the architecture's prefix
  std::map<std::string, float> numbers;
  std::map<std::string, std::vector<int32_t>> arrays;
  std::map<std::string, bool> flags;
  std::map<std::string, std::string> texts;
  std::map<std::string, TinyTensor> tensors;

  // Makes the tensors whose name holds `part` random blocks of a format of blocks of 32. They keep
  // the values that these decode to; store_blocks says whether the file has the blocks or those.
  void quantize(const std::string& part, TensorType type) {
    for (auto& [name, tensor] : tensors) {
      if (name.find(part) != std::string::npos) quantize(name, type, tensor);
    }
  }
  bool store_blocks = true;

  explicit TinyModel(const std::string& name) : architecture(name) {
    counts = {{"block_count", kLayers},
              {"embedding_length", kHidden},
              {"context_length", 512},
              {"attention.head_count", kHeads},
              {"attention.head_count_kv", kKvHeads},
              {"attention.key_length", kHeadDim},
              {"attention.value_length", kHeadDim},
              {"feed_forward_length", kWidth}};
    numbers = {{"attention.layer_norm_rms_epsilon", 1e-6F}, {"rope.freq_base", 10000.0F}};
    if (name == "qwen3moe") {
      counts["expert_count"] = kExperts;
      counts["expert_used_count"] = kTopK;
      counts["expert_feed_forward_length"] = kWidth;
    }
    add("token_embd.weight", {kHidden, kVocabulary});
    add("output_norm.weight", {kHidden});
    add("output.weight", {kHidden, kVocabulary});
    for (uint32_t layer = 0; layer < kLayers; ++layer) add_layer(layer);
  }

  Bytes build() const {
    GgufBuilder builder;
    builder.text("general.architecture", architecture);
    for (const auto& [key, value] : counts) builder.value(architecture + "." + key, value);
    for (const auto& [key, value] : numbers) builder.value(architecture + "." + key, value);
    for (const auto& [key, values] : arrays) builder.array(architecture + "." + key, values);
    for (const auto& [key, value] : flags) builder.value(architecture + "." + key, value);
    for (const auto& [key, value] : texts) builder.text(key, value);
    for (const auto& [name, tensor] : tensors) {
      if (store_blocks && !tensor.blocks.empty()) {
        auto type = static_cast<uint32_t>(tensor.type);
        builder.tensor({name, type, tensor.dimensions, tensor.blocks, std::nullopt});
      } else {
        builder.floats(name, tensor.dimensions, tensor.values);
      }
    }
    return builder.build();
  }

  Result<GgufModel> open() const {
    EXPECT_TRUE(storage_.write_atomic("tiny.gguf", build()).ok());
    return GgufModel::open(storage_, "tiny.gguf");
  }
  Result<std::unique_ptr<Model>> load() const {
    EXPECT_TRUE(storage_.write_atomic("tiny.gguf", build()).ok());
    return Model::load(storage_, "tiny.gguf", {});
  }

  // A tensor of random values in (-1, 1), the same for the same name.
  void add(const std::string& name, std::vector<uint64_t> dimensions) {
    uint64_t count = 1;
    for (uint64_t dimension : dimensions) count *= dimension;
    CounterRandom random(std::hash<std::string>()(name));
    TinyTensor tensor;
    tensor.dimensions = std::move(dimensions);
    for (uint64_t i = 0; i < count; ++i) {
      tensor.values.push_back(static_cast<float>(2 * random.uniform(i) - 1));
    }
    tensors[name] = std::move(tensor);
  }

 private:
  void add_layer(uint32_t layer) {
    auto name = [&](const char* part) {
      return "blk." + std::to_string(layer) + "." + part + ".weight";
    };
    add(name("attn_norm"), {kHidden});
    add(name("attn_q"), {kHidden, kHeads * kHeadDim});
    add(name("attn_k"), {kHidden, kKvHeads * kHeadDim});
    add(name("attn_v"), {kHidden, kKvHeads * kHeadDim});
    add(name("attn_q_norm"), {kHeadDim});
    add(name("attn_k_norm"), {kHeadDim});
    add(name("attn_output"), {kHeads * kHeadDim, kHidden});
    add(name("ffn_norm"), {kHidden});
    if (architecture == "qwen3moe") {
      add(name("ffn_gate_inp"), {kHidden, kExperts});
      add(name("ffn_gate_exps"), {kHidden, kWidth, kExperts});
      add(name("ffn_up_exps"), {kHidden, kWidth, kExperts});
      add(name("ffn_down_exps"), {kWidth, kHidden, kExperts});
    } else {
      add(name("ffn_gate"), {kHidden, kWidth});
      add(name("ffn_up"), {kHidden, kWidth});
      add(name("ffn_down"), {kWidth, kHidden});
    }
  }

  static void quantize(const std::string& name, TensorType type, TinyTensor& tensor) {
    const BlockFormat& format = block_format(type);
    CounterRandom random(std::hash<std::string>()(name));
    tensor.type = type;
    tensor.blocks.resize(tensor.values.size() / format.block_elements * format.block_bytes);
    for (size_t i = 0; i < tensor.blocks.size(); ++i) {
      tensor.blocks[i] = static_cast<std::byte>(random.bits(i) & 255);
    }
    for (size_t at = 0; at < tensor.blocks.size(); at += format.block_bytes) {
      set_largest_value(type, 1, tensor.blocks.data() + at);
    }
    format.decode(tensor.blocks.data(), tensor.values.size(), tensor.values.data());
  }

  mutable MemoryStorage storage_;
};

}  // namespace potluck::test
