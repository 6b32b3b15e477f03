// Whose rows a step gets, who starts, and who gives way.
#include "coordinator/serving/scheduler.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {

// Found by GoogleTest.
void PrintTo(const PlannedRows& rows, std::ostream* out) {
  *out << rows.id << ": " << rows.rows;
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// One byte a position: a chunk costs 256.
SchedulerOptions scheduler_options() {
  SchedulerOptions options;
  options.prefill_chunk = 100;
  options.prefill_beside = 10;
  options.most_active = 8;
  options.most_waiting = 8;
  options.price = KvPrice(0, 1);
  options.budget = 256 * 100;
  return options;
}

struct AskedScheduler {
  CompletionId id;
  uint32_t tokens = 10;
  std::string user = {};
  bool background = false;
  uint32_t most = 10000;
};

class SchedulerTest : public testing::Test {
 protected:
  void use(const SchedulerOptions& options) { scheduler_ = Scheduler(options); }
  std::optional<uint32_t> enqueue(const AskedScheduler& asked) {
    return scheduler_.enqueue({asked.id, asked.user, asked.background, asked.tokens, asked.most});
  }
  std::optional<CompletionId> next() {
    return scheduler_.next([](CompletionId) { return true; });
  }
  void start_all(uint32_t due) {
    while (auto id = next()) scheduler_.start(*id, 0, due);
  }
  // A request whose prompt is computed, and that answers.
  void start_answering(const AskedScheduler& asked) {
    ASSERT_TRUE(enqueue(asked));
    scheduler_.start(asked.id, asked.tokens - 1, 1);
    while (scheduler_.is_due(asked.id)) {
      std::vector<PlannedRows> all;
      for (auto planned = scheduler_.plan(); !planned.empty(); planned = scheduler_.plan()) {
        all.insert(all.end(), planned.begin(), planned.end());
      }
      for (const PlannedRows& rows : all) end(rows, rows.id == asked.id ? 0 : 1);
    }
    scheduler_.go_on(asked.id, 1, true);
  }
  void end(const PlannedRows& rows, uint32_t more) {
    scheduler_.apply(rows.id, rows.rows);
    if (more > 0 && !scheduler_.is_due(rows.id)) scheduler_.go_on(rows.id, more, true);
  }

  Scheduler scheduler_{scheduler_options()};
};

TEST_F(SchedulerTest, AnswersComeBeforeAShareOfPrompts) {
  start_answering({1});
  start_answering({2});
  ASSERT_TRUE(enqueue({3, 300}));
  start_all(300);
  EXPECT_THAT(scheduler_.plan(),
              ElementsAre(PlannedRows{1, 1}, PlannedRows{2, 1}, PlannedRows{3, 10}));
  EXPECT_THAT(scheduler_.plan(), IsEmpty()) << "all are under way";
  scheduler_.remove(1);
  scheduler_.remove(2);
  scheduler_.apply(3, 10);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{3, 100})) << "nothing is being answered";
}

TEST_F(SchedulerTest, DraftsTakeWhatAnswersLeave) {
  SchedulerOptions options = scheduler_options();
  options.prefill_chunk = 8;
  use(options);
  for (CompletionId id = 1; id <= 3; ++id) start_answering({id});
  scheduler_.set_drafted(1, 4);
  scheduler_.set_drafted(2, 4);
  EXPECT_THAT(scheduler_.plan(),
              ElementsAre(PlannedRows{1, 5}, PlannedRows{2, 2}, PlannedRows{3, 1}))
      << "every answer has a row";
  scheduler_.apply(1, 5);
  EXPECT_FALSE(scheduler_.is_due(1));
  scheduler_.take_back(1, 3);
  scheduler_.go_on(1, 1, true);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, 1})) << "a draft is of one step";
  scheduler_.apply(2, 0);
  EXPECT_TRUE(scheduler_.is_due(2)) << "the step has failed";
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{2, 1}));
}

TEST_F(SchedulerTest, DraftsTakeNoMemoryThatThereIsNot) {
  SchedulerOptions options = scheduler_options();
  options.budget = 3 * 256;
  use(options);
  start_answering({.id = 1, .tokens = 250, .most = 1000});
  start_answering({.id = 2, .tokens = 10, .most = 90});
  const uint64_t reserved = scheduler_.reserved_bytes();
  scheduler_.set_drafted(1, 16);
  scheduler_.set_drafted(2, 200);
  EXPECT_THAT(scheduler_.plan(), UnorderedElementsAre(PlannedRows{1, 17}, PlannedRows{2, 1}))
      << "the second never fills so many positions";
  EXPECT_EQ(scheduler_.reserved_bytes(), reserved) << "a chunk more was paid for at the start";
  for (int i = 1; i <= 15; ++i) {
    scheduler_.apply(1, 17);
    scheduler_.go_on(1, 1, true);
    scheduler_.set_drafted(1, 16);
    const uint32_t rows = i < 15 ? 17 : 1;  // 505 of 506 positions are filled by then
    ASSERT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, rows})) << i;
  }
  EXPECT_LE(scheduler_.reserved_bytes(), options.budget);
  EXPECT_FALSE(scheduler_.victim()) << "drafts starve for nothing";
}

TEST_F(SchedulerTest, ShortPromptsShareAStep) {
  for (CompletionId id = 1; id <= 3; ++id) ASSERT_TRUE(enqueue({id, 45}));
  start_all(45);
  EXPECT_THAT(scheduler_.plan(),
              ElementsAre(PlannedRows{1, 45}, PlannedRows{2, 45}, PlannedRows{3, 10}));
}

TEST_F(SchedulerTest, TwoStepsHaveHalfOfTheAnswersEach) {
  SchedulerOptions options = scheduler_options();
  options.steps = 2;
  use(options);
  for (CompletionId id = 1; id <= 4; ++id) start_answering({id});
  std::vector<PlannedRows> first = scheduler_.plan();
  std::vector<PlannedRows> second = scheduler_.plan();
  EXPECT_EQ(first.size(), 2u);
  EXPECT_EQ(second.size(), 2u);
  EXPECT_THAT(scheduler_.plan(), IsEmpty());
  for (const PlannedRows& rows : first) end(rows, 1);
  EXPECT_THAT(scheduler_.plan(), UnorderedElementsAre(first[0], first[1]));
}

TEST_F(SchedulerTest, AFreeStepTakesThePrompt) {
  SchedulerOptions options = scheduler_options();
  options.steps = 2;
  use(options);
  start_answering({1});
  ASSERT_TRUE(enqueue({2, 300}));
  start_all(300);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, 1}));
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{2, 10}));
  // Two answers keep both steps busy: the prompt rides along.
  scheduler_.apply(2, 10);
  scheduler_.apply(1, 1);
  scheduler_.go_on(1, 1, true);
  start_answering({3});
  EXPECT_THAT(scheduler_.plan(), ElementsAre(testing::_, PlannedRows{2, 10}));
}

// One user's long prompts do not keep another's short one waiting.
TEST_F(SchedulerTest, UsersTakeTurns) {
  ASSERT_TRUE(enqueue({1, 1000, "ann"}));
  ASSERT_TRUE(enqueue({2, 1000, "ann"}));
  start_all(1000);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, 100}));
  scheduler_.apply(1, 100);
  ASSERT_TRUE(enqueue({3, 1000, "bob"}));
  start_all(1000);
  // Bob begins where Ann stands; the earlier one goes first.
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, 100}));
  scheduler_.apply(1, 100);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{3, 100}));
  scheduler_.apply(3, 100);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, 100}));
}

TEST_F(SchedulerTest, TheQueueIsBoundedAndTakesUsersInTurn) {
  SchedulerOptions options = scheduler_options();
  options.most_active = 2;
  options.most_waiting = 3;
  use(options);
  ASSERT_EQ(enqueue({1, 10, "ann"}), 0u);
  start_all(10);
  EXPECT_EQ(enqueue({2, 10, "ann"}), 0u);
  EXPECT_EQ(enqueue({3, 10, "ann"}), 1u);
  EXPECT_EQ(enqueue({4, 10, "bob"}), 0u);
  EXPECT_EQ(enqueue({5, 10, "bob"}), std::nullopt);
  EXPECT_EQ(next(), 4u);
  scheduler_.start(4, 0, 10);
  EXPECT_EQ(next(), std::nullopt) << "both places are taken";
  scheduler_.remove(1);
  EXPECT_EQ(next(), 2u);
  EXPECT_EQ(scheduler_.next([](CompletionId id) { return id != 2; }), 3u);
}

TEST_F(SchedulerTest, BackgroundWaitsButNotForEver) {
  ASSERT_TRUE(enqueue({1, 10, "", true}));
  EXPECT_EQ(enqueue({2}), 0u);
  EXPECT_EQ(next(), 2u);
  start_all(10);
  size_t with_background = 0;
  for (int step = 0; step < 32; ++step) {
    std::vector<PlannedRows> planned = scheduler_.plan();
    ASSERT_FALSE(planned.empty());
    EXPECT_EQ(planned[0].id == 2 || planned.size() == 2, true);
    with_background += planned.size() - 1;
    for (const PlannedRows& rows : planned) end(rows, 1);
  }
  EXPECT_EQ(with_background, 4u);
  scheduler_.remove(2);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, 1}));
}

// A chunk of positions costs 256, and there are three.
TEST_F(SchedulerTest, MemoryDecidesWhoStarts) {
  SchedulerOptions options = scheduler_options();
  options.budget = 3 * 256;
  use(options);
  ASSERT_TRUE(enqueue({1, 300, "", false, 310}));
  ASSERT_TRUE(enqueue({2, 300, "", false, 310}));
  ASSERT_TRUE(enqueue({3, 100, "", false, 200}));
  scheduler_.start(1, 0, 300);
  EXPECT_EQ(scheduler_.reserved_bytes(), 512u);
  EXPECT_EQ(next(), std::nullopt) << "the third one would fit, but does not overtake";
  scheduler_.remove(2);
  EXPECT_EQ(next(), 3u);
  scheduler_.start(3, 50, 50);
  EXPECT_EQ(scheduler_.reserved_bytes(), 768u);
}

// Five blocks, of which two begin all of them: three requests fit, where alone each would take
// three.
TEST_F(SchedulerTest, WhatRequestsShareIsPaidOnce) {
  SchedulerOptions options = scheduler_options();
  options.budget = 5 * 256;
  uint64_t held = 0;
  options.held_bytes = [&held] { return held; };
  options.shared_bytes = [&held](CompletionId) { return held == 0 ? 0 : 512; };
  use(options);
  for (CompletionId id = 1; id <= 4; ++id) ASSERT_TRUE(enqueue({id, 600, "", false, 700}));
  ASSERT_EQ(next(), 1u);
  scheduler_.start(1, 0, 600);
  EXPECT_EQ(scheduler_.reserved_bytes(), 512u) << "the first block was taken when it started";
  held = 3 * 256;
  for (auto planned = scheduler_.plan(); !planned.empty(); planned = scheduler_.plan()) {
    for (const PlannedRows& rows : planned) scheduler_.apply(rows.id, rows.rows);
  }
  EXPECT_EQ(scheduler_.reserved_bytes(), 768u);
  ASSERT_EQ(next(), 2u);
  scheduler_.start(2, 520, 80);
  held = 4 * 256;
  ASSERT_EQ(next(), 3u);
  scheduler_.start(3, 520, 80);
  held = 5 * 256;
  EXPECT_EQ(scheduler_.reserved_bytes(), options.budget);
  EXPECT_EQ(next(), std::nullopt);
  // The one that came first has gone; what the others share with it is still there.
  scheduler_.remove(1);
  held = 4 * 256;
  EXPECT_EQ(next(), 4u);
}

// Two answers have filled their blocks, and there is one left. What a plan gives to the first one
// is not held before the plan is carried out, and yet the second one must not get it, too.
TEST_F(SchedulerTest, OnePlanGivesTheLastBlockOnce) {
  SchedulerOptions options = scheduler_options();
  options.budget = 5 * 256;
  uint64_t held = 4 * 256;
  options.held_bytes = [&held] { return held; };
  use(options);
  for (CompletionId id : {1, 2}) {
    ASSERT_TRUE(enqueue({id, 256}));
    scheduler_.start(id, 0, 256);
  }
  std::map<CompletionId, uint32_t> left = {{1, 512}, {2, 512}};
  for (auto planned = scheduler_.plan(); !planned.empty(); planned = scheduler_.plan()) {
    for (const PlannedRows& rows : planned) end(rows, (left[rows.id] -= rows.rows) > 0 ? 1 : 0);
  }
  for (CompletionId id : {1, 2}) scheduler_.go_on(id, 1, true);
  EXPECT_EQ(scheduler_.reserved_bytes(), 4u * 256);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, 1}));
  held = 5 * 256;
  EXPECT_EQ(scheduler_.victim(), 2u);
}

// Sent back for one that waits, it does not start again before that one has.
TEST_F(SchedulerTest, BackgroundDoesNotStartWhileOthersWait) {
  SchedulerOptions options = scheduler_options();
  options.budget = 2 * 256;
  use(options);
  ASSERT_TRUE(enqueue({1, 300, "", true, 310}));
  start_all(300);
  ASSERT_TRUE(enqueue({2, 300, "", false, 310}));
  EXPECT_EQ(scheduler_.victim(), 1u);
  scheduler_.requeue(1, 300);
  // The other one waits for a prefix that is just being computed.
  auto only_background = [](CompletionId id) { return id == 1; };
  EXPECT_EQ(scheduler_.next(only_background), std::nullopt);
  EXPECT_EQ(scheduler_.victim(), std::nullopt);
  EXPECT_EQ(next(), 2u);
  scheduler_.start(2, 0, 300);
  EXPECT_EQ(scheduler_.next(only_background), std::nullopt) << "there is no memory";
  scheduler_.remove(2);
  EXPECT_EQ(next(), 1u);
}

// Both have two chunks of positions; the fifth chunk does not exist.
TEST_F(SchedulerTest, TheLastOneGivesItsMemoryBack) {
  SchedulerOptions options = scheduler_options();
  options.budget = 4 * 256;
  use(options);
  ASSERT_TRUE(enqueue({1, 250, "", false, 900}));
  ASSERT_TRUE(enqueue({2, 250, "", false, 900}));
  start_all(250);
  ASSERT_EQ(scheduler_.active(), 2u);
  uint32_t answered = 0;
  while (!scheduler_.victim()) {
    ASSERT_LT(++answered, 300u);
    for (const PlannedRows& rows : scheduler_.plan()) end(rows, 1);
  }
  EXPECT_EQ(scheduler_.victim(), 2u);
  scheduler_.requeue(2, 513);
  EXPECT_EQ(next(), std::nullopt) << "the memory is for the other one";
  EXPECT_EQ(scheduler_.victim(), std::nullopt);
  EXPECT_THAT(scheduler_.plan(), ElementsAre(PlannedRows{1, 1}));
  EXPECT_EQ(next(), std::nullopt);
  ASSERT_TRUE(enqueue({3, 10}));
  scheduler_.remove(1);
  EXPECT_EQ(next(), 2u) << "it was here first";
}

// Random requests against the promises: the budget holds, what runs never stops for good, and the
// one that started first is never sent back.
TEST_F(SchedulerTest, EveryRequestEndsWithinTheBudget) {
  for (uint64_t seed = 0; seed < 25; ++seed) {
    CounterRandom random(seed);
    uint64_t draws = 0;
    auto draw = [&](uint64_t below) { return static_cast<uint32_t>(random.bits(++draws) % below); };
    SchedulerOptions options = scheduler_options();
    options.steps = 1 + draw(2);
    options.most_active = 1 + draw(6);
    options.budget = 256 * (5 + draw(4));
    use(options);
    std::map<CompletionId, uint32_t> answers;  // rows to come
    std::map<CompletionId, uint32_t> positions;
    std::vector<std::vector<PlannedRows>> under_way;
    CompletionId last = 0;
    size_t sent_back = 0;
    size_t ended = 0;
    for (int turn = 0; ended < 40; ++turn) {
      ASSERT_LT(turn, 100000) << "seed " << seed;
      if (last < 40 && draw(4) == 0) {
        uint32_t tokens = 1 + draw(600);
        uint32_t answer = 1 + draw(600);
        AskedScheduler asked{last + 1, tokens, std::string(1, "abc"[draw(3)]), draw(4) == 0,
                             tokens + answer};
        if (enqueue(asked)) {
          answers[++last] = answer;
          positions[last] = tokens;
        }
      }
      if (auto victim = scheduler_.victim()) {
        scheduler_.requeue(*victim, positions.at(*victim));
        ++sent_back;
      }
      if (auto id = next()) scheduler_.start(*id, 0, positions.at(*id));
      if (under_way.size() < options.steps) {
        std::vector<PlannedRows> planned = scheduler_.plan();
        if (!planned.empty()) under_way.push_back(planned);
      }
      ASSERT_LE(scheduler_.reserved_bytes(), options.budget) << "seed " << seed;
      if (under_way.empty() || draw(2) == 0) continue;
      size_t which = draw(under_way.size());
      for (const PlannedRows& rows : under_way[which]) {
        scheduler_.apply(rows.id, rows.rows);
        if (scheduler_.is_due(rows.id)) continue;
        if (--answers.at(rows.id) == 0) {
          scheduler_.remove(rows.id);
          ++ended;
        } else {
          ++positions.at(rows.id);
          scheduler_.go_on(rows.id, 1, true);
        }
      }
      under_way.erase(under_way.begin() + static_cast<ptrdiff_t>(which));
    }
    EXPECT_EQ(scheduler_.reserved_bytes(), 0u);
    if (seed == 0) {
      EXPECT_LT(sent_back, 400u);
    }
  }
}

}  // namespace
}  // namespace potluck
