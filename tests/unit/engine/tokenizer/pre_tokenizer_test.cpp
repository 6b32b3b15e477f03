#include "engine/tokenizer/pre_tokenizer.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "engine/tokenizer/pre_tokenizer_table.h"

namespace potluck {
namespace {

using Words = std::vector<std::string>;

Words split(const std::string& name, std::string_view text) {
  auto pre_tokenizer = PreTokenizer::make(name);
  EXPECT_TRUE(pre_tokenizer.ok()) << (pre_tokenizer ? "" : pre_tokenizer.error().message);
  Words words;
  const Status status = pre_tokenizer->split(text, [&](std::string_view word) {
    words.emplace_back(word);
    return Status();
  });
  EXPECT_TRUE(status.ok());
  return words;
}

struct SplitCase {
  const char* name;
  const char* text;
  Words words;
};

void PrintTo(const SplitCase& one, std::ostream* out) {
  *out << one.name << ": " << one.text;
}

class PreTokenizerSplit : public testing::TestWithParam<SplitCase> {};

TEST_P(PreTokenizerSplit, Words) {
  EXPECT_EQ(split(GetParam().name, GetParam().text), GetParam().words);
}

// Worked out by hand from the published rules. What the fixtures cover with real ids is not here
// again.
INSTANTIATE_TEST_SUITE_P(
    ByHand, PreTokenizerSplit,
    testing::Values(
        SplitCase{"qwen2",
                  "I'LL go, 123\n\n x",
                  {"I", "'LL", " go", ",", " ", "1", "2", "3", "\n\n", " x"}},
        SplitCase{"qwen35", "e\xCC\x81t 12", {"e\xCC\x81t", " ", "1", "2"}},
        SplitCase{"qwen2", "e\xCC\x81t", {"e", "\xCC\x81t"}},
        SplitCase{
            "llama-bpe", "1234567 (x)!\r\n y", {"123", "456", "7", " (", "x", ")!\r\n", " y"}},
        SplitCase{"glm4", "1234 we're", {"123", "4", " we", "'re"}},
        SplitCase{"chatglm-bpe", "a   b", {"a", "  ", " b"}},
        SplitCase{"gpt-4o", "HTTPServer don't a/b", {"HTTPServer", " don't", " a", "/b"}},
        SplitCase{"gpt-4o", "camelCase 1234", {"camel", "Case", " ", "123", "4"}},
        SplitCase{"minimax-m2", "camelCase!/\n", {"camel", "Case", "!/\n"}},
        SplitCase{"tekken", "HTTPServer don't 12", {"HTTPServer", " don", "'t", " ", "1", "2"}},
        SplitCase{"cohere2moe",
                  "x12345678, 1234abc",
                  {"x", "12", "345", "678", ",", " ", "123", "4", "abc"}},
        SplitCase{"cohere2moe", "camelCase 123", {"camel", "Case", " ", "123"}},
        SplitCase{"exaone-moe",
                  "I'LL say so it goes, 12/\n",
                  {"I", "'LL", " say so it goes", ",", " ", "1", "2", "/\n"}},
        SplitCase{
            "bailingmoe2", "I'LL go\n\n 12!\n", {"I", "'LL", " go", "\n\n", " ", "1", "2", "!\n"}},
        SplitCase{
            "afmoe",
            "x1234567 12 (ab)\xE4\xBD\xA0\xE5\xA5\xBD.",
            {"x", "1", "234", "567", " ", "12", " (", "ab", ")", "\xE4\xBD\xA0\xE5\xA5\xBD", "."}},
        SplitCase{"gpt-2",
                  "Hello  world's 2024!?\n",
                  {"Hello", " ", " world", "'s", " 2024", "!?", "\n"}},
        SplitCase{"gpt-2", "I'LL", {"I", "'", "LL"}},
        SplitCase{"mpt", "a 12\t\tb", {"a", " 12", "\t", "\t", "b"}},
        SplitCase{"olmo", "we're 3.5", {"we", "'re", " 3", ".", "5"}},
        SplitCase{"starcoder", "x = 12 + 3", {"x", " =", " ", "1", "2", " +", " ", "3"}},
        SplitCase{"refact", "ab12", {"ab", "1", "2"}},
        SplitCase{"falcon", "12345 $x, it's", {"123", "45", " ", "$", "x", ",", " it", "'", "s"}},
        SplitCase{"falcon", " 1234", {" ", "123", "4"}},
        SplitCase{"default", " 1234`x", {" ", "123", "4", "`", "x"}},
        SplitCase{
            "deepseek-llm",
            "Hi you\n\n 12 \xE4\xBD\xA0\xE5\xA5\xBD!  ",
            {"Hi", " you", "\n", "\n", " ", "12", " ", "\xE4\xBD\xA0\xE5\xA5\xBD", "!", "  "}},
        SplitCase{"deepseek-coder", "int i=10;\n", {"int", " i", "=", "1", "0", ";", "\n"}},
        SplitCase{
            "deepseek-v3",
            "x12345 \xE3\x81\x82\xE3\x81\x84 .net (foo)\n",
            {"x", "123", "45", " ", "\xE3\x81\x82\xE3\x81\x84", " .", "net", " (", "foo", ")\n"}}));

// U+180E is a space only in PCRE2; U+0085 and U+3000 are spaces everywhere.
TEST(PreTokenizer, SpacesAreThoseOfUnicode) {
  EXPECT_EQ(split("gpt-2", "a\xE1\xA0\x8E\xE1\xA0\x8E!"),
            (Words{"a", "\xE1\xA0\x8E\xE1\xA0\x8E!"}));
  EXPECT_EQ(split("gpt-2", "a\xC2\x85\xE3\x80\x80"), (Words{"a", "\xC2\x85\xE3\x80\x80"}));
  EXPECT_EQ(split("gpt-2", "\xC2\x85\xC2\x85!"), (Words{"\xC2\x85", "\xC2\x85", "!"}));
}

TEST(PreTokenizer, TableRowsCompileAndLoseNothing) {
  const std::string text =
      "Hello, World! we're 12345 \n\n\t x=y_z; \xC3\xA9\xCC\x81 \xE4\xBD\xA0\xE5\xA5\xBD "
      "\xF0\x9F\x99\x82 \xE3\x80\x80  ";
  size_t names = 0;
  for (const PreTokenizerRow& row : pre_tokenizer_table()) {
    std::string rest(row.names);
    while (!rest.empty()) {
      const size_t space = std::min(rest.find(' '), rest.size());
      std::string joined;
      for (const std::string& word : split(rest.substr(0, space), text)) {
        EXPECT_FALSE(word.empty());
        joined += word;
      }
      EXPECT_EQ(joined, text) << rest.substr(0, space);
      rest.erase(0, space + 1);
      ++names;
    }
  }
  EXPECT_GE(names, 40u);
}

TEST(PreTokenizer, LongRunsAreNotQuadratic) {
  // A pattern that looked at each run from each of its characters would not return from this.
  const std::string runs = std::string(1 << 18, ' ') + "x" + std::string(1 << 18, '\t') + "y" +
                           std::string(1 << 18, 'A') + std::string(1 << 18, '!') +
                           std::string(1 << 18, '\n') + std::string(1 << 18, '7');
  for (const PreTokenizerRow& row : pre_tokenizer_table()) {
    const std::string name(row.names.substr(0, row.names.find(' ')));
    size_t bytes = 0;
    for (const std::string& word : split(name, runs)) bytes += word.size();
    EXPECT_EQ(bytes, runs.size()) << name;
  }
}

TEST(PreTokenizer, Flags) {
  EXPECT_TRUE(PreTokenizer::make("llama-bpe")->keeps_whole_tokens());
  EXPECT_TRUE(PreTokenizer::make("llama-bpe")->adds_begin());
  EXPECT_TRUE(PreTokenizer::make("tekken")->keeps_whole_tokens());
  EXPECT_TRUE(PreTokenizer::make("tekken")->adds_begin());
  EXPECT_FALSE(PreTokenizer::make("glm4")->keeps_whole_tokens());
  EXPECT_TRUE(PreTokenizer::make("qwen2")->composes());
  EXPECT_FALSE(PreTokenizer::make("gpt-4o")->composes());
}

TEST(PreTokenizer, UnknownNamesAreRefusedWithTheKnownOnes) {
  for (const std::string name : {"", " ", "qwen", "qwen2 qwen35", "gpt-2 ", "\x1B[31m"}) {
    const auto refused = PreTokenizer::make(name);
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(refused.error().message, testing::HasSubstr("qwen35"));
    EXPECT_THAT(refused.error().message, testing::Not(testing::HasSubstr("\x1B")));
  }
}

TEST(PreTokenizer, StopsAtTheFirstErrorOfTheSink) {
  const auto pre_tokenizer = PreTokenizer::make("gpt-2");
  int calls = 0;
  const Status status = pre_tokenizer->split("one two three", [&](std::string_view) -> Status {
    ++calls;
    if (calls == 2) return Error{ErrorCode::kLimit, "enough"};
    return {};
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "enough");
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace potluck
