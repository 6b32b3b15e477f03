#include "worker/simulated_processor.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;

SendMessage answer(uint32_t step, Duration compute) {
  Partial partial;
  partial.work.layer = step;
  partial.timings.compute = static_cast<uint64_t>(compute.count());
  partial.timings.disk = 77;
  return {.peer = {}, .message = std::move(partial), .tensor = ByteVector(3)};
}

uint32_t name(const std::optional<SendMessage>& message) {
  return std::get<Partial>(message->message).work.layer;
}

TEST(SimulatedProcessor, StretchesWhatWasMeasured) {
  SimulatedProcessor processor(3);
  EXPECT_EQ(processor.next_due(), TimePoint::max());
  processor.hold(answer(1, milliseconds(4)), milliseconds(104));  // begun at 100
  EXPECT_EQ(processor.next_due(), milliseconds(112));
  EXPECT_FALSE(processor.next(milliseconds(112) - Duration(1)).has_value());
  auto due = processor.next(milliseconds(112));
  ASSERT_TRUE(due.has_value());
  const auto& partial = std::get<Partial>(due->message);
  EXPECT_EQ(partial.timings.compute, 12'000'000u) << "the device reports what it would have taken";
  EXPECT_EQ(partial.timings.disk, 77u);
  EXPECT_EQ(due->tensor.size(), 3u);
  EXPECT_EQ(processor.next_due(), TimePoint::max());
}

TEST(SimulatedProcessor, ComputesOneRequestAfterTheOther) {
  SimulatedProcessor processor(10);
  processor.hold(answer(1, milliseconds(1)), milliseconds(1));  // from 0 to 10
  processor.hold(answer(2, milliseconds(1)), milliseconds(3));  // had to wait: from 10 to 20
  processor.hold(answer(3, milliseconds(0)), milliseconds(4));  // nothing computed, but in its turn
  EXPECT_EQ(name(processor.next(milliseconds(10))), 1u);
  EXPECT_FALSE(processor.next(milliseconds(19)).has_value());
  EXPECT_EQ(name(processor.next(milliseconds(20))), 2u);
  EXPECT_EQ(name(processor.next(milliseconds(20))), 3u);
  processor.hold(answer(4, milliseconds(2)), milliseconds(102));  // idle before: from 100 to 120
  EXPECT_EQ(processor.next_due(), milliseconds(120));
}

TEST(SimulatedProcessor, NeverAnswersBeforeItHasComputed) {
  SimulatedProcessor processor(1);
  processor.hold(answer(1, milliseconds(5)), milliseconds(50));
  EXPECT_EQ(processor.next_due(), milliseconds(50));
  EXPECT_EQ(name(processor.next(milliseconds(50))), 1u);
}

}  // namespace
}  // namespace potluck
