// What is said to the program in a conversation, and what makes one message of several lines.
#include "coordinator/cli/chat_command.h"

#include <gtest/gtest.h>

#include "coordinator/cli/chat_settings.h"
#include "coordinator/cli/conversation_file.h"
#include "coordinator/cli/input_history.h"
#include "coordinator/cli/message_builder.h"
#include "engine/base/bytes.h"
#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

ChatVerb verb_of(std::string_view message) {
  const auto command = parse_chat_command(message);
  EXPECT_TRUE(command) << message;
  return command ? command->verb : ChatVerb::kUnknown;
}

TEST(ChatCommand, KnowsItsNames) {
  EXPECT_EQ(verb_of("/help"), ChatVerb::kHelp);
  EXPECT_EQ(verb_of("/?"), ChatVerb::kHelp);
  for (const char* name : {"/new", "/clear", "/reset"}) EXPECT_EQ(verb_of(name), ChatVerb::kNew);
  for (const char* name : {"/exit", "/quit", "/bye"}) EXPECT_EQ(verb_of(name), ChatVerb::kExit);
  for (const char* name : {"/regenerate", "/regen", "/retry"}) {
    EXPECT_EQ(verb_of(name), ChatVerb::kRegenerate);
  }
  for (const ChatCommandHelp& command : chat_commands()) {
    EXPECT_EQ(verb_of(command.name), command.verb);
    EXPECT_NE(chat_help().find(command.name), std::string::npos);
  }
}

TEST(ChatCommand, TakesTheRestAsItsArgument) {
  const auto command = parse_chat_command("/system   Be kind.\nBe short. \n");
  ASSERT_TRUE(command);
  EXPECT_EQ(command->verb, ChatVerb::kSystem);
  EXPECT_EQ(command->argument, "Be kind.\nBe short.");
  EXPECT_EQ(parse_chat_command("/save  my file.json ")->argument, "my file.json");
  EXPECT_EQ(parse_chat_command("/save")->argument, "");
}

TEST(ChatCommand, UnknownOnesAreNamedAndOtherTextIsText) {
  EXPECT_EQ(verb_of("/frobnicate now"), ChatVerb::kUnknown);
  EXPECT_EQ(verb_of("/New"), ChatVerb::kUnknown);
  EXPECT_EQ(verb_of("/newest"), ChatVerb::kUnknown);
  EXPECT_NE(unknown_command("/frobnicate").find("/frobnicate"), std::string::npos);
  EXPECT_NE(unknown_command("/stat").find("/stats"), std::string::npos);
  for (const char* text : {"", "/", "//", "/ new", "/usr/bin/env is a program", "/3 of it", " /new",
                           "new", "a /new", "/\xc3\xa4"}) {
    EXPECT_FALSE(parse_chat_command(text)) << text;
  }
}

std::string built(const std::vector<std::string>& lines) {
  MessageBuilder builder;
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(builder.unfinished(), i > 0);
    EXPECT_EQ(builder.push(lines[i]), i + 1 == lines.size()) << lines[i];
  }
  EXPECT_FALSE(builder.unfinished());
  return builder.take();
}

TEST(MessageBuilder, ABackslashGoesOn) {
  EXPECT_EQ(built({"one"}), "one");
  EXPECT_EQ(built({"one\\", "two\\", "three"}), "one\ntwo\nthree");
  EXPECT_EQ(built({"\\", "two"}), "\ntwo");
  EXPECT_EQ(built({""}), "");
}

TEST(MessageBuilder, QuotationMarksMakeABlock) {
  EXPECT_EQ(built({"\"\"\"", "one", "", "two\\", "\"\"\""}), "one\n\ntwo\\");
  EXPECT_EQ(built({"\"\"\"one", "two\"\"\""}), "one\ntwo");
  EXPECT_EQ(built({"\"\"\"one\"\"\""}), "one");
  // Pasted in one piece.
  EXPECT_EQ(built({"\"\"\"\none\ntwo\n\"\"\""}), "one\ntwo");
  // Inside of a line they are what they are.
  EXPECT_EQ(built({"a \"\"\" b"}), "a \"\"\" b");
}

TEST(MessageBuilder, BeginsAnewAfterEachMessage) {
  MessageBuilder builder;
  EXPECT_FALSE(builder.push("\"\"\"half"));
  EXPECT_EQ(builder.take(), "half");
  EXPECT_TRUE(builder.push("whole"));
  EXPECT_EQ(builder.take(), "whole");
}

TEST(InputHistory, KeepsMessagesOfSeveralLines) {
  MemoryStorage storage;
  InputHistory history(&storage, "/state/potluck/history");
  EXPECT_TRUE(history.load().empty());
  ASSERT_TRUE(history.add("one\ntwo \"\x1b[2J\" ä"));
  ASSERT_TRUE(history.add("one\ntwo \"\x1b[2J\" ä"));
  ASSERT_TRUE(history.add("three"));
  const std::vector<std::string> expected{"one\ntwo \"\x1b[2J\" ä", "three"};
  EXPECT_EQ(InputHistory(&storage, "/state/potluck/history").load(), expected);
}

TEST(InputHistory, IsBoundedAndSurvivesDamage) {
  MemoryStorage storage;
  InputHistory history(&storage, "/history");
  const std::string large(InputHistory::kMostBytes / 4, 'x');
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(history.add(std::to_string(i) + large));
  EXPECT_EQ(history.load().size(), 3U);
  EXPECT_EQ(history.load().back()[0], '9');
  ASSERT_TRUE(history.add(std::string(InputHistory::kMostBytes, 'x')));
  EXPECT_EQ(history.load().size(), 3U);
  ASSERT_TRUE(storage.write_atomic("/history", as_bytes("\"a\"\n{\n7\n\xff\n\"b\"\n\"cut")));
  EXPECT_EQ(history.load(), (std::vector<std::string>{"a", "b"}));
  std::string many;
  for (size_t i = 0; i < InputHistory::kMostEntries + 200; ++i) many += "\"old\"\n";
  ASSERT_TRUE(storage.write_atomic("/history", as_bytes(many)));
  ASSERT_TRUE(history.add("new"));
  EXPECT_EQ(history.load().size(), InputHistory::kMostEntries);
  EXPECT_EQ(history.load().back(), "new");
  InputHistory none(&storage, "");
  EXPECT_TRUE(none.add("secret"));
  EXPECT_TRUE(none.load().empty());
}

SavedConversation some_conversation() {
  SavedConversation saved{"a model", {}};
  saved.messages.push_back({"system", JsonValue{"Be \"kind\"\n"}, {}, {}, {}, {}});
  saved.messages.push_back({"user", JsonValue{"Hällo \x01 "}, {}, {}, {}, {}});
  ChatMessage answer{"assistant", JsonValue{" an answer "}, "it thought", {}, {}, {}};
  answer.tool_calls.push_back({"call_1", "look", *parse_json(R"({"b": 1.5, "a": [null, true]})")});
  saved.messages.push_back(answer);
  saved.messages.push_back({"tool", JsonValue{"result"}, {}, {}, "call_1", "look"});
  return saved;
}

TEST(ConversationFile, ReadsWhatItWrote) {
  MemoryStorage storage;
  const SavedConversation saved = some_conversation();
  ASSERT_TRUE(save_conversation(storage, "/c.json", saved));
  const auto read = load_conversation(storage, "/c.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(write_conversation(*read), write_conversation(saved));
  ASSERT_EQ(read->messages.size(), 4U);
  EXPECT_EQ(*read->messages[1].content.text(), "Hällo \x01 ");
  EXPECT_EQ(read->messages[2].reasoning_content, "it thought");
  EXPECT_EQ(write_json(read->messages[2].tool_calls[0].arguments),
            R"({"b": 1.5, "a": [null, true]})");
  EXPECT_EQ(read->messages[3].tool_call_id, "call_1");
  // Again, over the same file.
  EXPECT_TRUE(save_conversation(storage, "/c.json", saved));
}

TEST(ConversationFile, ReplacesNothingElse) {
  MemoryStorage storage;
  ASSERT_TRUE(storage.write_atomic("/thesis.txt", as_bytes("ten years of work")));
  const Status saved = save_conversation(storage, "/thesis.txt", some_conversation());
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, ErrorCode::kRefused);
  EXPECT_EQ(as_text(*read_file(storage, "/thesis.txt", 100)), "ten years of work");
}

TEST(ConversationFile, NamesWhatIsWrong) {
  for (const char* text :
       {"", "nonsense", "[]", "{}", R"({"form": "potluck conversation"})",
        R"({"form": "potluck conversation", "version": 2, "messages": []})",
        R"({"form": "potluck conversation", "version": 1, "messages": 3})",
        R"({"form": "potluck conversation", "version": 1, "messages": [3]})",
        R"({"form": "potluck conversation", "version": 1, "messages": [{"role": ""}]})",
        R"({"form": "potluck conversation", "version": 1,
            "messages": [{"role": "assistant", "tool_calls": 1}]})"}) {
    const auto read = read_conversation_text(text);
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().message.find("/save"), std::string::npos);
  }
}

TEST(ChatSettings, ChangesWhatIsAllowed) {
  GenerationRequest request;
  EXPECT_TRUE(change_setting("temp 0", &request));
  EXPECT_TRUE(change_setting("top-k=40", &request));
  EXPECT_TRUE(change_setting("seed  7", &request));
  EXPECT_TRUE(change_setting("max-tokens 12", &request));
  EXPECT_EQ(request.sampling.temperature, 0);
  EXPECT_EQ(request.sampling.top_k, 40U);
  EXPECT_EQ(request.sampling.seed, 7U);
  EXPECT_EQ(request.max_tokens, 12U);
  EXPECT_NE(describe_settings(request).find("top-k 40"), std::string::npos);
  for (const char* words :
       {"", "temp", "temp hot", "temp -1", "top-p 2", "frob 1", "seed 1.5", "repeat-penalty 0"}) {
    EXPECT_FALSE(change_setting(words, &request)) << words;
  }
  EXPECT_EQ(request.sampling.seed, 7U);
}

}  // namespace
}  // namespace potluck
