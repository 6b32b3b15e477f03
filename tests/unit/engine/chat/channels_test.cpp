// Answers in channels: reasoning, text and calls, with marks as text and as tokens of their own.
#include "engine/chat/channels.h"

#include <gtest/gtest.h>

#include "engine/chat/answer_stream.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

const std::string kPrompt = "<|start|>user<|message|>Hi<|end|><|start|>assistant";

std::string shown(const SplitChannels& split) {
  std::string all = split.reasoning + "|" + split.rest.content + "|";
  for (const ToolCall& call : split.rest.calls) {
    const bool is_text = call.arguments.text() != nullptr;
    all += call.name + "(" + (is_text ? *call.arguments.text() : write_json(call.arguments)) + ")";
  }
  return all;
}

std::string read(std::string_view text, size_t size, std::string_view prompt = kPrompt) {
  ChannelSplitter splitter(prompt);
  SplitChannels all;
  const auto take = [&](SplitChannels piece) {
    all.reasoning += piece.reasoning;
    all.rest.content += piece.rest.content;
    for (ToolCall& call : piece.rest.calls) all.rest.calls.push_back(std::move(call));
  };
  for (size_t at = 0; at < text.size(); at += size) take(splitter.push(text.substr(at, size)));
  take(splitter.finish());
  return shown(all);
}

TEST(Channels, EveryCutGivesTheSame) {
  const std::string think = "<|channel|>analysis<|message|>Hm, a < b.<|end|>";
  const std::string final = "<|channel|>final<|message|>Yes.";
  const std::string call =
      "<|channel|>commentary to=functions.look <|constrain|>json<|message|>{\"a\": \"<b\"}";
  const std::pair<std::string, std::string> cases[] = {
      {final, "|Yes.|"},
      {final + "<|return|>", "|Yes.|"},
      {think + "<|start|>assistant" + final, "Hm, a < b.|Yes.|"},
      {think + think + final, "Hm, a < b.\n\nHm, a < b.|Yes.|"},
      {think + "<|start|>assistant" + call + "<|call|>", "Hm, a < b.||look({\"a\": \"<b\"})"},
      {call, "||look({\"a\": \"<b\"})"},
      // The recipient behind the role.
      {" to=functions.look<|channel|>commentary json<|message|>{}<|call|>", "||look({})"},
      {" to=functions.look<|channel|>commentary <|constrain|>json<|message|>{}", "||look({})"},
      {"<|start|>assistant to=functions.look<|channel|>commentary<|message|>{}", "||look({})"},
      {" to=web.open<|channel|>analysis code<|message|>{}", "||web.open({})"},
      // A text in front of the call is for the user.
      {"<|channel|>commentary<|message|>I look.<|end|><|start|>assistant" + call,
       "|I look.|look({\"a\": \"<b\"})"},
      {"<|channel|>commentary to=functions.look<|message|>{\"a\": <|call|>", "||look({\"a\": )"},
      {"<|channel|>commentary to=functions.look<|message|>", "||look({})"},
      // Without a header, and with half of one.
      {"Just so.", "|Just so.|"},
      {"", "||"},
      {"<|channel|>fin", "||"},
      {final + " <|x|> <", "|Yes. <|x|> <|"},
  };
  for (const auto& [text, expected] : cases) {
    for (size_t size = 1; size <= text.size() + 1; ++size) {
      EXPECT_EQ(read(text, size), expected) << text << " by " << size;
    }
  }
}

TEST(Channels, PromptsMayBeginTheAnswer) {
  EXPECT_EQ(read("so<|end|>", 3, kPrompt + "<|channel|>analysis<|message|>"), "so||");
  EXPECT_EQ(read("so", 3, kPrompt + "<|channel|>final<|message|>Well, "), "|so|");
  EXPECT_EQ(read("so", 3, ""), "|so|");
}

// The user and the tools may have said what looks like a mark; so may the arguments.
TEST(Channels, MarksThatAreTokensAreToldFromText) {
  auto tiny = byte_level_vocabulary();
  std::vector<TokenId> marks;
  for (const std::string_view name : channels::kMarks) {
    marks.push_back(tiny.add(std::string(name), kControlType));
  }
  const auto tokenizer = tiny.make();
  AnswerSyntax syntax;
  syntax.has_channels = true;
  AnswerStream stream(*tokenizer, syntax, kPrompt);
  std::vector<TokenId> tokens;
  const auto add_text = [&](const std::string& text) {
    const auto encoded = tokenizer->encode(text, SpecialTokens::kAsText);
    ASSERT_TRUE(encoded);
    tokens.insert(tokens.end(), encoded->begin(), encoded->end());
  };
  const auto add_mark = [&](std::string_view name) {
    for (size_t i = 0; i < marks.size(); ++i) {
      if (channels::kMarks[i] == name) tokens.push_back(marks[i]);
    }
  };
  add_mark(channels::kChannel);
  add_text("commentary to=functions.look ");
  add_mark(channels::kConstrain);
  add_text("json");
  add_mark(channels::kMessage);
  add_text("{\"a\": \"<|call|><|end|> \xC3\xA4\"}");
  AnswerPiece all;
  const auto take = [&](AnswerPiece piece) {
    all.content += piece.content;
    for (ToolCall& call : piece.calls) all.calls.push_back(std::move(call));
  };
  for (const TokenId token : tokens) take(stream.push(token));
  take(stream.finish());
  EXPECT_EQ(all.content, "");
  ASSERT_EQ(all.calls.size(), 1U);
  EXPECT_EQ(write_json(all.calls[0].arguments), "{\"a\": \"<|call|><|end|> \xC3\xA4\"}");
}

}  // namespace
}  // namespace potluck
