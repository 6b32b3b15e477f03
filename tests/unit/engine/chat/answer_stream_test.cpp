// Answers taken apart from their tokens on.
#include "engine/chat/answer_stream.h"

#include <gtest/gtest.h>

#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

constexpr ReasoningMarks kThink{"<think>", "</think>"};

TEST(AnswerStream, MarksMayBeControlTokens) {
  for (const TokenType type : {kControlType, kUserType}) {
    auto tiny = byte_level_vocabulary();
    const TokenId open = 259;
    tiny.types[259] = type;
    const TokenId close = tiny.add("</think>", type);
    const auto tokenizer = tiny.make();
    AnswerStream stream(*tokenizer, {kThink, std::nullopt}, "");
    AnswerPiece all;
    std::vector<TokenId> tokens{open};
    for (TokenId token : encode_ok(*tokenizer, "so\n")) tokens.push_back(token);
    tokens.push_back(close);
    for (TokenId token : encode_ok(*tokenizer, "\nY\xC3\xA4")) tokens.push_back(token);
    tokens.push_back(258);  // a control token that is no mark is not shown
    for (TokenId token : tokens) {
      const AnswerPiece piece = stream.push(token);
      all.reasoning += piece.reasoning;
      all.content += piece.content;
    }
    all.content += stream.finish().content;
    EXPECT_EQ(all.reasoning, "so");
    EXPECT_EQ(all.content, "Y\xC3\xA4");
  }
}

// Each as a control token and as text, after reasoning and text.
TEST(AnswerStream, CallsComeBehindReasoningAndText) {
  for (const TokenType type : {kControlType, kUserType}) {
    auto tiny = byte_level_vocabulary();
    const TokenId open = tiny.add("<tool_call>", type);
    const TokenId close = tiny.add("</tool_call>", type);
    const auto tokenizer = tiny.make();
    const ToolCallSyntax syntax = object_syntax("<tool_call>", "</tool_call>", "name", "arguments");
    AnswerStream stream(*tokenizer, {kThink, syntax}, "");
    std::vector<TokenId> tokens;
    const auto add = [&](std::string_view text) {
      for (TokenId token : encode_ok(*tokenizer, std::string(text))) tokens.push_back(token);
    };
    add("<think>hm</think>\nLet me look.\n");
    tokens.push_back(open);
    add("\n{\"name\": \"look\", \"arguments\": {\"at\": 3}}\n");
    tokens.push_back(close);
    AnswerPiece all;
    const auto take = [&](const AnswerPiece& piece) {
      all.reasoning += piece.reasoning;
      all.content += piece.content;
      all.calls.insert(all.calls.end(), piece.calls.begin(), piece.calls.end());
    };
    for (TokenId token : tokens) take(stream.push(token));
    take(stream.finish());
    EXPECT_EQ(all.reasoning, "hm");
    EXPECT_EQ(all.content, "Let me look.");
    ASSERT_EQ(all.calls.size(), 1u);
    EXPECT_EQ(all.calls[0].name, "look");
  }
}

}  // namespace
}  // namespace potluck
