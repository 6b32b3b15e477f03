#include "coordinator/serving/http/openai_models.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

TEST(OpenAiModels, ListsTheOneModel) {
  const auto list = nlohmann::json::parse(write_json(model_list_json(test::sample_model())));
  EXPECT_EQ(list, nlohmann::json::parse(R"({"object": "list", "data": [{"id": "taleteller",
      "object": "model", "created": 1700000000, "owned_by": "potluck", "type": "model",
      "display_name": "taleteller", "created_at": "2023-11-14T22:13:20Z", "max_model_len": 4096,
      "meta": {"n_ctx": 4096, "n_ctx_train": 2048, "n_params": 26, "size": 15,
               "architecture": "qwen3moe", "quantization": "Q4_K_M"}}],
      "has_more": false, "first_id": "taleteller", "last_id": "taleteller"})"));
}

}  // namespace
}  // namespace potluck
