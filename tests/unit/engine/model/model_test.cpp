// Loading a whole file.
#include "engine/model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/test_files.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::TinyModel;
using ::testing::HasSubstr;

TEST(Model, LoadsWithoutATokenizerAndSaysWhy) {
  auto model = TinyModel("qwen3moe").load();
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->config().architecture, "qwen3moe");
  EXPECT_EQ((*model)->banks().size(), 2u);
  EXPECT_EQ((*model)->bank(1), &(*model)->banks()[1]);
  EXPECT_EQ((*model)->tokenizer(), nullptr);
  EXPECT_THAT((*model)->tokenizer_error(), HasSubstr("tokenizer"));
  // The banks point into the model's own file.
  EXPECT_EQ((*model)->bank(0)->gate, (*model)->file().find("blk.0.ffn_gate_exps.weight"));
}

TEST(Model, OfADenseArchitectureHasNoBanks) {
  auto model = TinyModel("qwen3").load();
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_TRUE((*model)->banks().empty());
  EXPECT_EQ((*model)->bank(0), nullptr);
}

TEST(Model, LoadsTheFixturesTokenizer) {
  auto storage = make_system_storage();
  auto model = Model::load(*storage, test::data_path("arch/qwen3moe/model.gguf"), {});
  ASSERT_TRUE(model.ok()) << model.error().message;
  ASSERT_NE((*model)->tokenizer(), nullptr) << (*model)->tokenizer_error();
  EXPECT_EQ((*model)->tokenizer()->vocabulary_size(), 512u);
  EXPECT_EQ((*model)->tokenizer_error(), "");
}

// Or a text could lead to a token that has no embedding.
TEST(Model, RefusesATokenizerWithMoreTokensThanEmbeddings) {
  auto storage = make_system_storage();
  auto bytes = read_file(*storage, test::data_path("arch/qwen3moe/model.gguf"), kMiB);
  ASSERT_TRUE(bytes.ok());
  // {64, 512} -> {64, 511} in the entries of the two tensors of that shape.
  const uint64_t shape[] = {64, 512};
  auto pattern = std::as_bytes(std::span(shape));
  size_t changed = 0;
  for (auto at = bytes->begin();; ++at) {
    at = std::search(at, bytes->end(), pattern.begin(), pattern.end());
    if (at == bytes->end()) break;
    store(&*at + 8, uint64_t{511});
    ++changed;
  }
  ASSERT_EQ(changed, 2u);
  MemoryStorage memory;
  ASSERT_TRUE(memory.write_atomic("cut.gguf", *bytes).ok());
  auto model = Model::load(memory, "cut.gguf", {});
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->tokenizer(), nullptr);
  EXPECT_THAT((*model)->tokenizer_error(), HasSubstr("512 tokens"));
}

TEST(Model, NamesTheFileInErrors) {
  MemoryStorage storage;
  auto missing = Model::load(storage, "none.gguf", {});
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("none.gguf"));
  TinyModel tiny("qwen3moe");
  tiny.tensors.erase("blk.0.attn_q.weight");
  auto broken = tiny.load();
  ASSERT_FALSE(broken.ok());
  EXPECT_THAT(broken.error().message, HasSubstr("tiny.gguf: tensor blk.0.attn_q.weight"));
}

}  // namespace
}  // namespace potluck
