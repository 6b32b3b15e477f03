#include "coordinator/serving/pending_service.h"

#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/scripted_service/scripted_service.h"

namespace potluck {
namespace {

struct LastEvent final : CompletionSink {
  void on_event(const CompletionEvent& event) override { last = event; }
  std::optional<CompletionEvent> last;
};

ServedModel announced() {
  ServedModel model;
  model.id = "announced";
  return model;
}

TEST(PendingService, IsLoadingUntilTheServiceIsThere) {
  PendingService pending(announced());
  pending.report("reading weights", 3, 10);
  EXPECT_EQ(pending.state(), ServiceState::kLoading);
  EXPECT_EQ(pending.loading().stage, "reading weights");
  EXPECT_EQ(pending.loading().done, 3u);
  EXPECT_EQ(pending.loading().total, 10u);
  EXPECT_EQ(pending.model().id, "announced");
  EXPECT_FALSE(pending.encode(std::string("a")));
  EXPECT_FALSE(pending.decode({1}));
}

TEST(PendingService, RefusesRequestsAtOnceWhileLoading) {
  PendingService pending(announced());
  auto sink = std::make_shared<LastEvent>();
  pending.cancel(pending.submit({}, sink));
  ASSERT_TRUE(sink->last);
  const auto* failed = std::get_if<CompletionFailed>(&*sink->last);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->fault, CompletionFault::kUnavailable);
  EXPECT_EQ(failed->message, "Loading model");
}

TEST(PendingService, HandsEverythingToTheServiceOnceItIsThere) {
  PendingService pending(announced());
  test::ScriptedService service;
  service.served_model().id = "real";
  pending.open(&service);
  EXPECT_EQ(pending.state(), ServiceState::kReady);
  EXPECT_EQ(pending.model().id, "real");
  EXPECT_EQ(pending.encode(std::string("A")).value(), std::vector<TokenId>{65});
  EXPECT_EQ(pending.decode({66}).value(), "B");
  auto sink = std::make_shared<LastEvent>();
  const CompletionId id = pending.submit({}, sink);
  EXPECT_EQ(service.submitted(), 1u);
  EXPECT_FALSE(sink->last) << "the test tells the events";
  pending.cancel(id);
  EXPECT_TRUE(service.cancelled(id));
  service.set_state(ServiceState::kDraining);
  EXPECT_EQ(pending.state(), ServiceState::kDraining);
}

}  // namespace
}  // namespace potluck
