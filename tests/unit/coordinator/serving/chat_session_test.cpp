// Conversations with the bundled model: what the cache still holds is not computed again, and the
// answers do not depend on it.
#include "coordinator/serving/chat_session.h"

#include <gtest/gtest.h>

#include "coordinator/serving/engine_setup.h"
#include "engine/base/random.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\\n' }}{% endfor %}assistant: ";

class ChatSessionTest : public testing::Test {
 protected:
  ChatSessionTest() : storage_(make_system_storage()), template_(parse(kTemplate)) {
    RuntimeOptions options;
    options.model_path = test::taleteller_path();
    options.context = 256;
    options.system = &system_files();
    auto opened = Runtime::open(options, *storage_, clock_, entropy_, nullptr);
    CHECK(opened.ok());
    runtime_ = std::move(*opened);
  }

  static ChatTemplate parse(std::string_view source) {
    auto parsed = ChatTemplate::parse(source);
    CHECK(parsed.ok());
    return std::move(*parsed);
  }

  static void say(ChatSession* session, const std::string& text) {
    session->conversation().messages.push_back({"user", JsonValue{text}, {}, {}, {}, {}});
  }

  Result<GeneratedAnswer> try_answer(ChatSession* session, uint32_t max_tokens = 12) {
    GenerationRequest request;
    request.max_tokens = max_tokens;
    request.sampling.seed = 11;
    request.ignore_end = true;
    return session->answer(request, [](const AnswerPiece&) { return true; });
  }

  GeneratedAnswer answer(ChatSession* session) {
    auto answered = try_answer(session);
    CHECK(answered.ok());
    return std::move(*answered);
  }

  // One that knows nothing of other sessions.
  CompletionEngine* new_engine() {
    engines_.push_back(make_engine(*runtime_, &template_, {}));
    return engines_.back().get();
  }

  std::unique_ptr<Storage> storage_;
  SystemClock clock_;
  SystemEntropy entropy_;
  ChatTemplate template_;
  std::unique_ptr<Runtime> runtime_;
  std::vector<std::unique_ptr<CompletionEngine>> engines_;
};

TEST_F(ChatSessionTest, LaterTurnsReuseTheCacheAndAnswerAlike) {
  ChatSession session(new_engine());
  say(&session, "Tell me about the old man and the sea");
  const GeneratedAnswer first = answer(&session);
  EXPECT_EQ(first.usage.cached_tokens, 0U);
  say(&session, "And then?");
  const GeneratedAnswer second = answer(&session);
  EXPECT_GE(second.usage.cached_tokens, first.usage.prompt_tokens);
  EXPECT_LT(second.usage.cached_tokens, second.usage.prompt_tokens);

  ChatSession fresh(new_engine());
  fresh.conversation() = session.conversation();
  fresh.conversation().messages.pop_back();
  const GeneratedAnswer again = answer(&fresh);
  EXPECT_EQ(again.usage.cached_tokens, 0U);
  EXPECT_EQ(again.usage.prompt_tokens, second.usage.prompt_tokens);
  EXPECT_EQ(again.result.tokens, second.result.tokens);
  EXPECT_EQ(again.text.content, second.text.content);
}

TEST_F(ChatSessionTest, AChangedBeginningIsComputedAgain) {
  ChatSession session(new_engine());
  say(&session, "Tell me a story");
  const GeneratedAnswer first = answer(&session);
  session.conversation().messages.clear();
  say(&session, "Tell me a story");
  const GeneratedAnswer same = answer(&session);
  EXPECT_EQ(same.usage.cached_tokens,
            first.usage.prompt_tokens - 1);  // the last one gives the logits
  EXPECT_EQ(same.result.tokens, first.result.tokens);
  session.conversation().messages.clear();
  say(&session, "Sing");
  EXPECT_LT(answer(&session).usage.cached_tokens, 6U);
}

TEST_F(ChatSessionTest, AnErrorLeavesTheConversationAsItWas) {
  ChatSession session(new_engine());
  std::string long_text;
  for (int i = 0; i < 300; ++i) long_text += "word ";
  say(&session, long_text);
  const auto refused = try_answer(&session);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_EQ(session.conversation().messages.size(), 1U);
  session.conversation().messages.clear();
  say(&session, "short");
  EXPECT_TRUE(try_answer(&session).ok());
}

}  // namespace
}  // namespace potluck
