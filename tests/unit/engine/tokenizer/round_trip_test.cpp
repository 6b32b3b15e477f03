// Encoding and decoding random Unicode under every vocabulary at hand: text comes back as it was,
// or in composed form where the model composes.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/base/storage.h"
#include "engine/tokenizer/composer.h"
#include "tests/support/test_files.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

constexpr uint64_t kRoundTripSeed = 31337;

uint32_t random_code_point(uint64_t bits) {
  constexpr uint32_t kEnds[] = {0x80, 0x300, 0x3000, 0x10000, 0x110000};
  const auto code_point = static_cast<uint32_t>(bits >> 8) % kEnds[bits % 5];
  return code_point >= 0xD800 && code_point < 0xE000 ? ' ' : code_point;
}

// Random characters with words, spaces and names of special tokens among them.
std::string random_text(const CounterRandom& random, uint64_t round) {
  const std::vector<std::string> words = {" the", "Hello", "'ll", "\n\n",       "   ",  "12345",
                                          "\r\n", "\t",    "!?",  "<|im_end|>", "</s>", " "};
  std::string text;
  const uint64_t length = random.bits(round, 0) % 60;
  for (uint64_t i = 1; i <= length; ++i) {
    const uint64_t bits = random.bits(round, i);
    text += bits % 3 == 0 ? words[bits / 3 % words.size()] : utf8_of(random_code_point(bits / 3));
  }
  return text;
}

void expect_round_trips(const Tokenizer& tokenizer, bool composes) {
  SCOPED_TRACE(kRoundTripSeed);
  const CounterRandom random(kRoundTripSeed);
  const Composer composer;
  for (uint64_t round = 0; round < 400; ++round) {
    std::string text = random_text(random, round);
    // U+2581 is how these vocabularies write a space, so it comes back as one.
    if (tokenizer.strips_leading_space() && text.find("\xE2\x96\x81") != std::string::npos)
      continue;
    std::string buffer;
    const std::string expected(composes ? composer.compose(text, &buffer) : text);
    const auto tokens = encode_ok(tokenizer, text);
    ASSERT_EQ(tokenizer.decode(tokens), expected) << "round " << round;
    ASSERT_EQ(stream(tokenizer, tokens), expected) << "round " << round;
    for (TokenId token : tokens) ASSERT_FALSE(tokenizer.is_control(token)) << "round " << round;
  }
}

TEST(RoundTrip, HandBuiltVocabularies) {
  expect_round_trips(*byte_level_vocabulary().make(), false);
  expect_round_trips(*sentencepiece_vocabulary().make(), false);
}

class RoundTripFixture : public testing::TestWithParam<const char*> {};

TEST_P(RoundTripFixture, RandomUnicode) {
  const std::string name = GetParam();
  auto storage = make_system_storage();
  const auto model = GgufModel::open(*storage, test::data_path("tokenizer/") + name + ".gguf");
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto tokenizer = make_tokenizer(model->metadata());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  expect_round_trips(**tokenizer, name.starts_with("qwen"));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, RoundTripFixture,
                         testing::Values("qwen2", "qwen35", "llama-bpe", "gpt-4o", "deepseek-v3",
                                         "gpt-2", "spm"));

}  // namespace
}  // namespace potluck
