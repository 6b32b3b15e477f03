// Tensors become panels; what does not fit the configuration is refused by name.
#include "engine/model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::TinyModel;
using ::testing::HasSubstr;

Result<ModelWeights> load(const TinyModel& tiny, const Progress& progress = {}) {
  auto file = tiny.open();
  EXPECT_TRUE(file.ok()) << file.error().message;
  auto config = read_config(*file);
  EXPECT_TRUE(config.ok()) << config.error().message;
  return load_weights(*file, *config, progress);
}

void expect_weights_refused(const TinyModel& tiny, const std::string& tensor,
                            const std::string& why) {
  auto weights = load(tiny);
  ASSERT_FALSE(weights.ok()) << tensor;
  EXPECT_THAT(weights.error().message, HasSubstr(tensor));
  EXPECT_THAT(weights.error().message, HasSubstr(why));
}

void expect_matrix(const WeightMatrix& matrix, const test::TinyTensor& tensor) {
  ASSERT_EQ(matrix.shape().columns, tensor.dimensions[0]);
  ASSERT_EQ(matrix.shape().rows, tensor.dimensions[1]);
  std::vector<float> row(matrix.shape().columns);
  for (uint32_t r = 0; r < matrix.shape().rows; ++r) {
    unpack_row(matrix.view(), r, row.data());
    auto expected = tensor.values.begin() + static_cast<ptrdiff_t>(r * row.size());
    ASSERT_TRUE(std::equal(row.begin(), row.end(), expected)) << "row " << r;
  }
}

TEST(Weights, HoldEveryTensorOfAMoeModel) {
  TinyModel tiny("qwen3moe");
  auto weights = load(tiny);
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  expect_matrix(weights->token_embedding, tiny.tensors["token_embd.weight"]);
  expect_matrix(weights->output_matrix(), tiny.tensors["output.weight"]);
  EXPECT_EQ(weights->output_norm, tiny.tensors["output_norm.weight"].values);
  ASSERT_EQ(weights->layers.size(), 2u);
  const LayerWeights& layer = weights->layers[1];
  EXPECT_EQ(layer.mixer_norm, tiny.tensors["blk.1.attn_norm.weight"].values);
  expect_matrix(layer.attention.query, tiny.tensors["blk.1.attn_q.weight"]);
  expect_matrix(layer.attention.key, tiny.tensors["blk.1.attn_k.weight"]);
  expect_matrix(layer.attention.value, tiny.tensors["blk.1.attn_v.weight"]);
  EXPECT_EQ(layer.attention.query_norm, tiny.tensors["blk.1.attn_q_norm.weight"].values);
  EXPECT_EQ(layer.attention.key_norm, tiny.tensors["blk.1.attn_k_norm.weight"].values);
  expect_matrix(layer.attention.output, tiny.tensors["blk.1.attn_output.weight"]);
  EXPECT_EQ(layer.ffn_norm, tiny.tensors["blk.1.ffn_norm.weight"].values);
  expect_matrix(layer.router.matrix, tiny.tensors["blk.1.ffn_gate_inp.weight"]);
  EXPECT_TRUE(layer.dense.empty());
}

TEST(Weights, HoldEveryTensorOfADenseModel) {
  TinyModel tiny("qwen3");
  auto weights = load(tiny);
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  const LayerWeights& layer = weights->layers[0];
  EXPECT_TRUE(layer.router.empty());
  expect_matrix(layer.dense.gate, tiny.tensors["blk.0.ffn_gate.weight"]);
  expect_matrix(layer.dense.up, tiny.tensors["blk.0.ffn_up.weight"]);
  expect_matrix(layer.dense.down, tiny.tensors["blk.0.ffn_down.weight"]);
}

TEST(Weights, UseTheEmbeddingWhenThereIsNoOutput) {
  TinyModel tiny("qwen3");
  tiny.tensors.erase("output.weight");
  auto weights = load(tiny);
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_EQ(&weights->output_matrix(), &weights->token_embedding);
}

// Larger than the pieces it is read in, and no multiple of them or of a panel.
TEST(Weights, ReadLargeMatricesPieceByPiece) {
  TinyModel tiny("qwen3");
  tiny.add("token_embd.weight", {TinyModel::kHidden, 70'003});
  tiny.add("output.weight", {TinyModel::kHidden, 70'003});
  auto weights = load(tiny);
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  expect_matrix(weights->token_embedding, tiny.tensors["token_embd.weight"]);
}

TEST(Weights, NameEveryMissingOrMisshapenTensor) {
  for (const char* architecture : {"qwen3", "qwen3moe"}) {
    for (const auto& [name, tensor] : TinyModel(architecture).tensors) {
      bool elsewhere = name.find("_exps") != std::string::npos;
      if (name == "token_embd.weight" || name == "output.weight" || elsewhere) continue;
      TinyModel tiny(architecture);
      tiny.tensors.erase(name);
      expect_weights_refused(tiny, name, "is missing");
      std::vector<uint64_t> wider = tensor.dimensions;
      wider.back() += 8;
      tiny.add(name, wider);
      expect_weights_refused(tiny, name, "should be");
    }
  }
}

TEST(Weights, RefuseTensorsThatHaveNoPlace) {
  TinyModel tiny("qwen3moe");
  tiny.add("blk.0.attn_q.bias", {32});
  expect_weights_refused(tiny, "blk.0.attn_q.bias", "no place");
  tiny = TinyModel("qwen3");
  tiny.add("blk.0.ffn_gate_exps.weight", {32, 32, 6});
  expect_weights_refused(tiny, "blk.0.ffn_gate_exps.weight", "no place");
}

TEST(Weights, ReportProgressUpToTheEnd) {
  uint64_t last_done = 0;
  uint64_t last_total = 0;
  auto weights = load(TinyModel("qwen3moe"), [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last_done);
    last_done = done;
    last_total = total;
  });
  ASSERT_TRUE(weights.ok());
  EXPECT_GT(last_done, 0u);
  EXPECT_EQ(last_done, last_total);
}

}  // namespace
}  // namespace potluck
