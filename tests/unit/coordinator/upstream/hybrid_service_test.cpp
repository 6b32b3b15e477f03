// What leaves the pool and what does not.
#include "coordinator/upstream/hybrid_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/recorded_log.h"
#include "tests/support/scripted_service/scripted_service.h"
#include "tests/unit/coordinator/upstream/recorded_caller.h"
#include "tests/unit/coordinator/upstream/upstream_samples.h"

namespace potluck {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Told final : CompletionSink {
  void on_event(const CompletionEvent& event) override {
    EXPECT_FALSE(ended);
    if (const auto* admitted = std::get_if<CompletionAdmitted>(&event)) heads.push_back(*admitted);
    if (const auto* delta = std::get_if<CompletionDelta>(&event)) text += delta->piece.content;
    if (const auto* finished = std::get_if<CompletionFinished>(&event)) end = *finished;
    if (const auto* failed = std::get_if<CompletionFailed>(&event)) fault = *failed;
    ended = end || fault;
  }
  std::vector<CompletionAdmitted> heads;
  std::string text;
  std::optional<CompletionFinished> end;
  std::optional<CompletionFailed> fault;
  bool ended = false;
};

class HybridServiceTest : public testing::Test {
 protected:
  void use(UpstreamRules rules, UpstreamStyle style = UpstreamStyle::kOpenAi) {
    Upstream upstream = test::sample_upstream(rules);
    upstream.style = style;
    upstream.at_once = 2;
    service_.emplace(&pool_, std::vector<Upstream>{upstream}, &caller_, &clock_, &log_);
  }
  CompletionId ask(CompletionRequest request = test::sample_chat()) {
    told_ = std::make_shared<Told>();
    return service_->submit(std::move(request), told_);
  }
  static CompletionRequest for_model(const std::string& model) {
    CompletionRequest request = test::sample_chat();
    request.model = model;
    return request;
  }
  UpstreamFigures figures() const { return service_->figures().upstreams.at(0); }
  std::string all_logged() const {
    std::string all;
    for (const LogEvent& event : log_.events) all += event.message + "\n";
    return all;
  }

  test::ScriptedService pool_;
  test::RecordedCaller caller_;
  ManualClock clock_;
  test::RecordedLog log_;
  std::optional<HybridService> service_;
  std::shared_ptr<Told> told_;
};

TEST_F(HybridServiceTest, NothingLeavesWithoutARule) {
  use({});
  ask(for_model("large"));
  pool_.tell(0, CompletionAdmitted{1'000'000, 9});
  pool_.tell(0, CompletionQueued{9, 600});
  pool_.tell(0, CompletionFailed{CompletionFault::kUnavailable, "gone"});
  EXPECT_TRUE(caller_.made.empty());
  EXPECT_EQ(told_->fault->message, "gone");
}

TEST_F(HybridServiceTest, ALongPromptGoesAndIsMarked) {
  use({.prompt_tokens = 100});
  ask();
  pool_.tell(0, CompletionAdmitted{101});
  ASSERT_EQ(caller_.made.size(), 1U);
  EXPECT_EQ(caller_.made[0].call.url, "https://api.example.org/v1/chat/completions");
  EXPECT_TRUE(told_->heads.empty());
  caller_.answer(0, 200, test::openai_answer("well"), 5);
  EXPECT_TRUE(pool_.cancelled(0));
  ASSERT_EQ(told_->heads.size(), 1U);
  EXPECT_EQ(told_->heads[0].upstream, "cloud");
  EXPECT_EQ(told_->heads[0].upstream_model, "large");
  EXPECT_EQ(told_->text, "well");
  EXPECT_EQ(told_->end->usage.completion_tokens, 2U);
  EXPECT_EQ(figures().requests, 1U);
  EXPECT_EQ(figures().running, 0U);
  EXPECT_EQ(figures().answer_tokens, 2U);
  EXPECT_EQ(figures().sent_bytes, caller_.made[0].body.size());
  EXPECT_THAT(all_logged(), HasSubstr("leaves this pool, to 'cloud' (large): its prompt has 101"));
}

TEST_F(HybridServiceTest, AShortPromptStays) {
  use({.queue_seconds = 30, .prompt_tokens = 100});
  ask();
  pool_.tell(0, CompletionAdmitted{100});
  pool_.tell(0, CompletionQueued{1, 30});
  ASSERT_EQ(told_->heads.size(), 1U);
  EXPECT_EQ(told_->heads[0].upstream, "");
  // Once it is told that it stays, it stays.
  pool_.tell(0, CompletionQueued{1, 3000});
  pool_.tell(0, CompletionFailed{CompletionFault::kUnavailable, "gone"});
  EXPECT_TRUE(caller_.made.empty());
  EXPECT_EQ(told_->fault->message, "gone");
}

TEST_F(HybridServiceTest, ALongQueueIsLeft) {
  use({.queue_seconds = 30});
  ask();
  pool_.tell(0, CompletionAdmitted{5, 3});
  pool_.tell(0, CompletionQueued{3, 31});
  ASSERT_EQ(caller_.made.size(), 1U);
  caller_.answer(0, 200, test::openai_answer("well"));
  EXPECT_EQ(told_->text, "well");
}

TEST_F(HybridServiceTest, WhatThePoolCannotServeGoes) {
  for (const auto fault :
       {CompletionFault::kTooLong, CompletionFault::kOverloaded, CompletionFault::kUnavailable}) {
    use({.cannot_serve = true});
    const size_t before = caller_.made.size();
    ask();
    pool_.tell(pool_.submitted() - 1, CompletionFailed{fault, "no"});
    ASSERT_EQ(caller_.made.size(), before + 1);
    caller_.answer(before, 200, test::openai_answer("well"));
    EXPECT_EQ(told_->text, "well");
  }
  // What is wrong with a request is wrong elsewhere, too.
  const size_t before = caller_.made.size();
  ask();
  pool_.tell(pool_.submitted() - 1, CompletionFailed{CompletionFault::kInvalid, "no"});
  EXPECT_EQ(caller_.made.size(), before);
  // And whoever stops the server wants no more answers.
  pool_.set_state(ServiceState::kDraining);
  ask();
  pool_.tell(pool_.submitted() - 1, CompletionFailed{CompletionFault::kUnavailable, "no"});
  EXPECT_EQ(caller_.made.size(), before);
}

TEST_F(HybridServiceTest, WhatIsMarkedLocalNeverLeaves) {
  use({.cannot_serve = true, .queue_seconds = 0, .prompt_tokens = 0, .model = true});
  CompletionRequest request = test::sample_chat();
  request.local = true;
  ask(request);
  pool_.tell(0, CompletionAdmitted{1'000'000, 9});
  pool_.tell(0, CompletionQueued{9, 600});
  pool_.tell(0, CompletionFailed{CompletionFault::kUnavailable, "gone"});
  EXPECT_EQ(told_->fault->message, "gone");
  request.model = "large";
  ask(request);
  EXPECT_EQ(told_->fault->fault, CompletionFault::kInvalid);
  EXPECT_THAT(told_->fault->message, HasSubstr("marked to stay"));
  EXPECT_TRUE(caller_.made.empty());
  EXPECT_EQ(figures().requests, 0U);
}

TEST_F(HybridServiceTest, AModelIsAskedForByName) {
  use({.model = true});
  ask(for_model("larger"));
  EXPECT_EQ(pool_.submitted(), 0U);
  ASSERT_EQ(caller_.made.size(), 1U);
  caller_.answer(0, 200, test::openai_answer("well"));
  EXPECT_EQ(told_->heads[0].upstream_model, "larger");
  EXPECT_THAT(caller_.made[0].body, HasSubstr(R"("model": "larger")"));
  ask(for_model("another"));
  EXPECT_EQ(pool_.submitted(), 1U);
  // Another model in its place would be a surprise.
  ask(for_model("large"));
  caller_.answer(1, 500, "");
  EXPECT_EQ(pool_.submitted(), 1U);
  EXPECT_EQ(told_->fault->fault, CompletionFault::kUnavailable);
  EXPECT_THAT(told_->fault->message, HasSubstr("'cloud' does not answer: it says 500"));
  EXPECT_EQ(told_->fault->upstream_failed, "cloud");
  CompletionRequest request = for_model("large");
  request.top_logprobs = 1;
  ask(request);
  EXPECT_THAT(told_->fault->message, HasSubstr("cannot be asked for this: logprobs"));
}

TEST_F(HybridServiceTest, BeforeTheFirstByteThePoolTakesOver) {
  use({.prompt_tokens = 100});
  ask();
  pool_.tell(0, CompletionAdmitted{101});
  caller_.send(0);
  caller_.end(0, Error{ErrorCode::kIo, "no route"});
  ASSERT_EQ(pool_.submitted(), 2U);
  // What the first submission still says is nobody's business.
  pool_.tell(0, CompletionFinished{});
  pool_.tell(1, CompletionAdmitted{101});
  ASSERT_EQ(told_->heads.size(), 1U);
  EXPECT_EQ(told_->heads[0].upstream, "");
  EXPECT_EQ(told_->heads[0].upstream_failed, "cloud");
  pool_.tell(1, CompletionFinished{});
  EXPECT_TRUE(told_->end);
  EXPECT_EQ(figures().fell_back, 1U);
  // For a while, no other request tries it.
  ask();
  pool_.tell(2, CompletionAdmitted{101});
  EXPECT_EQ(caller_.made.size(), 1U);
  clock_.advance(UpstreamBook::kPause);
  ask();
  pool_.tell(3, CompletionAdmitted{101});
  EXPECT_EQ(caller_.made.size(), 2U);
}

TEST_F(HybridServiceTest, WhatNeitherCanServeSaysBoth) {
  use({.cannot_serve = true});
  ask();
  pool_.tell(0, CompletionFailed{CompletionFault::kTooLong, "too long", 900, 800});
  caller_.answer(0, 200, "<html>\n\n");
  EXPECT_EQ(told_->fault->fault, CompletionFault::kTooLong);
  EXPECT_THAT(told_->fault->message, HasSubstr("too long; and the upstream 'cloud' does not"));
  EXPECT_EQ(figures().failed, 1U);
}

TEST_F(HybridServiceTest, AStreamThatBeganStaysWhereItIs) {
  use({.prompt_tokens = 100});
  ask();
  pool_.tell(0, CompletionAdmitted{101});
  const std::string answer = test::openai_answer("well");
  caller_.answer(0, 200, answer.substr(0, answer.find("finish_reason")));
  EXPECT_EQ(told_->text, "well");
  EXPECT_EQ(pool_.submitted(), 1U);
  EXPECT_EQ(told_->fault->fault, CompletionFault::kUnavailable);
  EXPECT_THAT(told_->fault->message, HasSubstr("broke off its answer"));
}

TEST_F(HybridServiceTest, TheKeyIsInNoMessage) {
  use({.model = true});
  const std::string key = test::kSampleKey;
  const std::string bodies[] = {R"({"error": {"message": "wrong key )" + key + R"("}})",
                                R"({"error": {"message": "wrong key sk-very-****6789"}})",
                                R"({"error": {"message": "wrong key ****-0123456789"}})"};
  for (const int status : {400, 401, 403, 404, 429, 500}) {
    for (const std::string& body : bodies) {
      ask(for_model("large"));
      caller_.answer(caller_.made.size() - 1, status, body);
      ASSERT_TRUE(told_->fault);
      EXPECT_THAT(told_->fault->message, Not(HasSubstr("wrong key")));
    }
  }
  EXPECT_THAT(all_logged(), Not(HasSubstr("sk-")));
  ask(for_model("large"));
  caller_.answer(caller_.made.size() - 1, 400, R"({"error": {"message": "too\nlong"}})");
  EXPECT_THAT(told_->fault->message, HasSubstr("it says 400: too?long"));
  ask(for_model("large"));
  caller_.answer(caller_.made.size() - 1, 302, "");
  EXPECT_THAT(told_->fault->message, HasSubstr("not followed"));
  EXPECT_THAT(caller_.made[0].call.headers, testing::Contains("Authorization: Bearer " + key));
  EXPECT_THAT(caller_.made[0].call.headers, testing::Contains("X-Potluck-Local: 1"));
}

TEST_F(HybridServiceTest, ACancelledRequestEndsThere) {
  use({.model = true});
  const CompletionId id = ask(for_model("large"));
  caller_.send(0);
  caller_.made[0].sink->on_status(200);
  caller_.made[0].sink->on_bytes("data: {\"choices\": []}\n\n");
  service_->cancel(id);
  EXPECT_TRUE(caller_.made[0].cancelled);
  EXPECT_EQ(told_->end->reason, FinishReason::kCancelled);
  caller_.made[0].sink->on_bytes(test::openai_answer("late"));
  caller_.end(0, Error{ErrorCode::kCancelled, ""});
  EXPECT_EQ(told_->text, "");
  EXPECT_EQ(figures().running, 0U);
  EXPECT_EQ(figures().failed, 0U);
  service_->cancel(id);
}

TEST_F(HybridServiceTest, ACancelledRequestDoesNotLeave) {
  use({.cannot_serve = true, .queue_seconds = 0});
  const CompletionId id = ask();
  service_->cancel(id);
  EXPECT_TRUE(pool_.cancelled(0));
  EXPECT_TRUE(caller_.made.empty());
}

TEST_F(HybridServiceTest, SoManyAtOnce) {
  use({.prompt_tokens = 1, .model = true});
  for (CompletionId id = 0; id < 3; ++id) {
    ask();
    pool_.tell(id, CompletionAdmitted{2});
  }
  EXPECT_EQ(caller_.made.size(), 2U);  // the third one stays
  EXPECT_EQ(figures().running, 2U);
  ask(for_model("large"));
  EXPECT_EQ(told_->fault->fault, CompletionFault::kOverloaded);
  caller_.made[0].sink->on_end(Error{ErrorCode::kTimeout, "slow"});
  EXPECT_EQ(figures().running, 1U);
  caller_.refuses = true;
  ask(for_model("large"));
  EXPECT_EQ(told_->fault->fault, CompletionFault::kOverloaded);
  EXPECT_EQ(figures().running, 1U);
}

TEST_F(HybridServiceTest, AnthropicsStyleHasItsOwnKeyAndRoute) {
  use({.model = true}, UpstreamStyle::kAnthropic);
  ask(for_model("large"));
  EXPECT_EQ(caller_.made[0].call.url, "https://api.example.org/v1/messages");
  EXPECT_THAT(caller_.made[0].call.headers,
              testing::Contains(std::string("x-api-key: ") + test::kSampleKey));
}

}  // namespace
}  // namespace potluck
