#include "engine/gguf/split_name.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(SplitName, TakesTheNameApartAndPutsItTogether) {
  auto name = parse_split_name("/models/big-model-00002-of-00012.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->prefix, "/models/big-model");
  EXPECT_EQ(name->number, 2u);
  EXPECT_EQ(name->parts, 12u);
  EXPECT_EQ(split_path(*name, 12), "/models/big-model-00012-of-00012.gguf");
}

TEST(SplitName, TakesNothingElse) {
  for (const char* path :
       {"", "model.gguf", "model-00001-of-00002", "model-0001-of-00002.gguf", "00001-of-00002.gguf",
        "model-00001-of-0002.gguf", "model-00001_of_00002.gguf", "model-0000a-of-00002.gguf",
        "model-00001-of-00002.GGUF", "model-+0001-of-00002.gguf", "model_00001-of-00002.gguf"}) {
    EXPECT_FALSE(parse_split_name(path).has_value()) << path;
  }
}

}  // namespace
}  // namespace potluck
