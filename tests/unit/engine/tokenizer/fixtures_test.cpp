// Vocabularies whose ids other programs have computed: the tokenizers and sentencepiece libraries
// (tests/data/tokenizer), and published vocabularies beside the repository where they are at hand.
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/base/storage.h"
#include "engine/gguf/gguf.h"
#include "tests/support/test_files.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

const std::string kData = test::data_path("tokenizer/");

std::string read_text(const std::string& path) {
  auto storage = make_system_storage();
  auto bytes = read_file(*storage, path, 64 * kMiB);
  EXPECT_TRUE(bytes.ok()) << path;
  return bytes ? std::string(as_text(*bytes)) : std::string();
}

std::unique_ptr<Tokenizer> load(const std::string& path) {
  auto storage = make_system_storage();
  auto model = GgufModel::open(*storage, path);
  EXPECT_TRUE(model.ok()) << (model ? "" : model.error().message);
  if (!model) return nullptr;
  auto tokenizer = make_tokenizer(model->metadata());
  EXPECT_TRUE(tokenizer.ok()) << (tokenizer ? "" : tokenizer.error().message);
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

std::string test_name(const testing::TestParamInfo<const char*>& fixture) {
  std::string name = fixture.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

class LibraryFixture : public testing::TestWithParam<const char*> {};

TEST_P(LibraryFixture, EveryCase) {
  const std::string name = GetParam();
  const auto tokenizer = load(kData + name + ".gguf");
  ASSERT_TRUE(tokenizer);
  const auto cases = nlohmann::json::parse(read_text(kData + name + ".json")).at("cases");
  ASSERT_GE(cases.size(), 30u);
  for (const auto& one : cases) {
    const auto text = one.at("text").get<std::string>();
    const auto ids = one.at("ids").get<std::vector<TokenId>>();
    EXPECT_EQ(encode_ok(*tokenizer, text, SpecialTokens::kParse), ids) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, LibraryFixture,
                         testing::Values("qwen2", "qwen35", "llama-bpe", "gpt-4o", "deepseek-v3",
                                         "gpt-2", "spm"),
                         test_name);

TEST(LibraryFixtures, RolesOfTheTokens) {
  const auto qwen = load(kData + "qwen2.gguf");
  ASSERT_TRUE(qwen);
  EXPECT_EQ(qwen->vocabulary_size(), 3000u);
  EXPECT_TRUE(qwen->is_end(0));   // <|endoftext|>, by id
  EXPECT_FALSE(qwen->is_end(1));  // <|im_start|>
  EXPECT_TRUE(qwen->is_end(2));   // <|im_end|>, by name
  EXPECT_TRUE(qwen->is_control(1));
  EXPECT_FALSE(qwen->is_control(3));
  EXPECT_TRUE(qwen->prompt_prefix().empty());
  EXPECT_FALSE(qwen->strips_leading_space());

  const auto spm = load(kData + "spm.gguf");
  ASSERT_TRUE(spm);
  EXPECT_EQ(spm->prompt_prefix(), std::vector<TokenId>{1});
  EXPECT_TRUE(spm->strips_leading_space());
  EXPECT_TRUE(spm->is_end(2));
}

class PublishedVocabulary : public testing::TestWithParam<const char*> {};

TEST_P(PublishedVocabulary, EveryCase) {
  const std::string path =
      test::shared_path(fmt::format("fixtures/tokenizer-real/ggml-vocab-{}.gguf", GetParam()));
  if (path.empty()) GTEST_SKIP() << GetParam() << " is not at hand";
  const auto tokenizer = load(path);
  ASSERT_TRUE(tokenizer);
  const std::string inputs = read_text(path + ".inp");
  std::istringstream outputs(read_text(path + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  size_t cases = 0;
  for (size_t begin = 0; begin <= inputs.size(); ++cases) {
    size_t end = inputs.find(separator, begin);
    if (end == std::string::npos) end = inputs.size();
    std::string line;
    if (!std::getline(outputs, line)) break;
    std::vector<TokenId> ids;
    std::istringstream numbers(line);
    for (TokenId id = 0; numbers >> id;) ids.push_back(id);
    const std::string text = inputs.substr(begin, end - begin);
    EXPECT_EQ(encode_ok(*tokenizer, text), ids) << text;
    EXPECT_EQ(tokenizer->decode(ids), text);
    begin = end + separator.size();
  }
  EXPECT_EQ(cases, 46u);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, PublishedVocabulary,
                         testing::Values("gpt-2", "deepseek-llm", "llama-spm"), test_name);

const std::string kTaleteller = test::taleteller_path();

TEST(Taleteller, OnceUponATime) {
  const auto tokenizer = load(kTaleteller);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(encode_ok(*tokenizer, "Once upon a time"), (std::vector<TokenId>{2802, 689, 267, 628}));
}

TEST(Taleteller, ReferenceIds) {
  const std::string path = test::shared_path("models/taleteller-reference.json");
  if (path.empty()) GTEST_SKIP() << "the reference is not at hand";
  const auto tokenizer = load(kTaleteller);
  ASSERT_TRUE(tokenizer);
  // The ids of 256 tokens of prose, the last of which may be cut short in the middle of a word.
  const auto reference = nlohmann::json::parse(read_text(path));
  auto ids = reference.at("text_ids_first_256").get<std::vector<TokenId>>();
  const std::string text = tokenizer->decode(ids);
  EXPECT_TRUE(text.starts_with("I\n\nMr. Sherlock Holmes\n\nMr. Sherlock Holmes, who was"));
  auto tokens = encode_ok(*tokenizer, text);
  ids.pop_back();
  ASSERT_GE(tokens.size(), ids.size());
  tokens.resize(ids.size());
  EXPECT_EQ(tokens, ids);
}

}  // namespace
}  // namespace potluck
