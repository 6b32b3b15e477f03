#include "coordinator/plan/plan_model.h"

#include <gtest/gtest.h>

#include "engine/base/storage.h"
#include "tests/support/test_files.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

TEST(PlanModel, FromAFileCountsEveryTensorOnce) {
  for (const char* name : {"qwen3moe", "deepseek2", "mixtral", "gpt-oss"}) {
    SCOPED_TRACE(name);
    std::string path = test::data_path(std::string("arch/") + name + "/model.gguf");
    auto storage = make_system_storage();
    if (!storage->exists(path)) continue;
    GgufModel file = GgufModel::open(*storage, path).value();
    ModelConfig config = read_config(file).value();
    PlanModel model = plan_model(file.tensors(), config, find_expert_banks(file, config).value());
    uint32_t layers = 0;
    double bytes = 0;
    for (const PlanLayer& layer : model.layers) {
      layers += layer.count;
      bytes +=
          layer.count * (total_bytes(layer.dense) + total_bytes(layer.shared) + layer.bank_bytes());
    }
    EXPECT_EQ(layers, config.layers);
    double expected = 0;
    for (const GgufTensor& tensor : file.tensors()) {
      bool of_layer = tensor.name.starts_with("blk.");
      bool bias = tensor.name.find("_exps.bias") != std::string::npos;
      if (of_layer && !bias) expected += static_cast<double>(tensor.bytes);
    }
    EXPECT_NEAR(bytes, expected, 0.01 * expected);
    EXPECT_GT(total_bytes(model.head), 0);
  }
}

TEST(PlanModel, FromAManifestHasTheExperts) {
  Manifest manifest = test::sample_manifest(3, 6);
  PlanModel model = plan_model(manifest, 2);
  ASSERT_EQ(model.layers.size(), 1u) << "all are alike";
  EXPECT_EQ(model.layers[0].count, 3u);
  EXPECT_EQ(model.layers[0].experts, 6u);
  EXPECT_EQ(model.layers[0].top_k, 2u);
  EXPECT_EQ(model.layers[0].grains, 8u);
  auto padded = static_cast<double>(manifest.total_bytes());
  EXPECT_LE(model.bank_bytes(), padded);
  EXPECT_GE(model.bank_bytes(), 0.8 * padded);
  EXPECT_EQ(plan_model(manifest, 99).layers[0].top_k, 6u);
}

}  // namespace
}  // namespace potluck
