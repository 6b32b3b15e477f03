#include "coordinator/plan/observed_correction.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/plan/known_pools.h"

namespace potluck {
namespace {

class ObservedCorrection : public testing::Test {
 protected:
  ObservedCorrection() : model_(test::plan_of(test::kQwen30B, 1, 2, false)) {
    for (int i = 0; i < 4; ++i) pool_.devices.push_back(test::laptop());
    pool_ = with_assumptions(pool_);
    held_.assign(4, 0.25);
  }

  // What the model expects of a device with its share.
  double expected_rate() const {
    const PlanLayer& layer = *main_layer(model_);
    DeviceLoad load = device_load(model_, layer, pool_.devices[0], held_[0]);
    return layer.top_k * layer.expert_bytes() / load.whole;
  }
  std::vector<double> corrections() {
    correct_by_observation(model_, held_, &pool_);
    std::vector<double> all;
    for (const DeviceFacts& device : pool_.devices) all.push_back(device.correction);
    return all;
  }

  PlanModel model_;
  PlanPool pool_;
  std::vector<double> held_;
};

TEST_F(ObservedCorrection, WithoutObservationsNothingIsCorrected) {
  EXPECT_EQ(corrections(), std::vector<double>(4, 1.0));
}

TEST_F(ObservedCorrection, DevicesThatDifferLittleGetTheSame) {
  for (size_t i = 0; i < 4; ++i) {
    pool_.devices[i].observed_rate = expected_rate() * (0.5 + 0.05 * static_cast<double>(i));
  }
  std::vector<double> found = corrections();
  for (double correction : found) EXPECT_NEAR(correction, 0.575, 0.03);
  EXPECT_EQ(found, std::vector<double>(4, found[0]));
}

TEST_F(ObservedCorrection, OneThatBoastsIsBelievedNoLonger) {
  for (DeviceFacts& device : pool_.devices) device.observed_rate = expected_rate();
  pool_.devices[2].observed_rate /= 10;
  std::vector<double> found = corrections();
  EXPECT_NEAR(found[0], 1, 1e-9);
  EXPECT_NEAR(found[2], 0.1, 1e-9);
}

TEST_F(ObservedCorrection, PromptsHaveACorrectionOfTheirOwn) {
  double expected = product_rate(pool_.devices[0], main_layer(model_)->expert, true);
  for (DeviceFacts& device : pool_.devices) device.observed_many_rate = expected / 2;
  EXPECT_EQ(corrections(), std::vector<double>(4, 1.0));
  PhaseTime slow = prefill_time(model_, pool_, held_, {}, 512);
  for (DeviceFacts& device : pool_.devices) {
    EXPECT_NEAR(device.correction_many, 0.5, 1e-9);
    device.correction_many = 1;
  }
  PhaseTime fast = prefill_time(model_, pool_, held_, {}, 512);
  EXPECT_NEAR(slow.compute / fast.compute, 2, 0.2);
}

// Whatever is between is in a round trip that was seen of answers.
TEST_F(ObservedCorrection, NothingIsAddedToARoundTripThatWasSeen) {
  PhaseTime described = decode_time(model_, pool_, held_, {});
  for (DeviceFacts& device : pool_.devices) device.round_trip_seen = true;
  PhaseTime seen = decode_time(model_, pool_, held_, {});
  const PlanLayer& layer = *main_layer(model_);
  EXPECT_LT(seen.wire, described.wire);
  EXPECT_GE(seen.wire, layer.count * pool_.devices[0].round_trip);
}

}  // namespace
}  // namespace potluck
