#include "worker/own_speed.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/sample_model.h"

namespace potluck::test {
namespace {

using std::chrono::seconds;

class CountingMeter final : public DeviceMeter {
 public:
  uint64_t disk_bytes_per_second() override {
    ++disks;
    return disk;
  }
  ProductSpeed product(TensorType format) override {
    ++products;
    return {format, 10, 20};
  }
  uint32_t threads() const override { return 3; }

  uint64_t disk = 0;
  int disks = 0;
  int products = 0;
};

class OwnSpeedTest : public testing::Test {
 protected:
  SampleModel model_{1};
  CountingMeter meter_;
  ManualClock clock_;
  OwnSpeed speed_{&meter_, clock_};
};

TEST_F(OwnSpeedTest, MeasuresWhenItIsAskedAndRemembers) {
  EXPECT_FALSE(speed_.next_tick());
  EXPECT_FALSE(speed_.on_tick());
  EXPECT_EQ(meter_.disks, 0);
  meter_.disk = 7;
  DeviceSpeed first = *speed_.for_model(model_.manifest());
  EXPECT_EQ(first.threads, 3u);
  EXPECT_EQ(first.disk_bytes_per_second, 7u);
  ASSERT_FALSE(first.products.empty());
  EXPECT_EQ(first.products[0].one_row, 10u);
  int products = meter_.products;
  EXPECT_EQ(*speed_.for_model(model_.manifest()), first);
  EXPECT_EQ(meter_.disks, 1);
  EXPECT_EQ(meter_.products, products);
}

TEST_F(OwnSpeedTest, AStoreThatWasTooSmallIsMeasuredAgainWhileIdle) {
  speed_.for_model(model_.manifest());
  meter_.disk = 9;
  clock_.advance(OwnSpeed::kRetry - seconds(1));
  speed_.worked();
  EXPECT_FALSE(speed_.on_tick());
  clock_.advance(seconds(2));
  EXPECT_FALSE(speed_.on_tick()) << "it is not idle";
  clock_.set(*speed_.next_tick());
  EXPECT_TRUE(speed_.on_tick());
  EXPECT_EQ(speed_.for_model(model_.manifest())->disk_bytes_per_second, 9u);
  EXPECT_EQ(*speed_.next_tick(), clock_.now() + OwnSpeed::kStale);
  clock_.set(*speed_.next_tick());
  EXPECT_FALSE(speed_.on_tick()) << "nothing has changed";
  EXPECT_EQ(meter_.disks, 3);
}

TEST_F(OwnSpeedTest, WithoutAMeterNothingIsKnown) {
  OwnSpeed none(nullptr, clock_);
  EXPECT_FALSE(none.for_model(model_.manifest()));
  EXPECT_FALSE(none.next_tick());
}

}  // namespace
}  // namespace potluck::test
