// A manifest that grows while a model is spread: members are welcomed to it and hold more.
#include "tests/unit/coordinator/cluster/membership_fixture.h"

namespace potluck {
namespace {

using test::MembershipTest;
using test::peer;
using test::sample_manifest;

class MembershipGrowthTest : public MembershipTest {
 protected:
  MembershipGrowthTest() {
    options_.outline = &outline_;
    options_.replicas = 2;
    manifest_ = first_layers(1);
    membership_.emplace(options_, manifest_, allow_list_, invitations_, clock_);
  }

  Manifest first_layers(size_t count) const {
    std::vector<ManifestLayer> layers(outline_.layers().begin(),
                                      outline_.layers().begin() + static_cast<ptrdiff_t>(count));
    return Manifest("sample", std::move(layers));
  }
  void grow(size_t layers) {
    manifest_ = first_layers(layers);
    membership_->manifest_grew();
  }

  Manifest outline_ = sample_manifest(3, 6);
};

TEST_F(MembershipGrowthTest, MembersAreWelcomedToTheNewManifest) {
  join(1);
  join(2);
  make_ready(1);
  make_ready(2);
  forget_sent();
  EXPECT_EQ(assigned_units(), 2u * 6 * 2) << "both have all";
  grow(2);
  for (uint8_t number : std::vector<uint8_t>{1, 2}) {
    std::vector<Welcome> welcomes = sent<Welcome>(number);
    ASSERT_EQ(welcomes.size(), 1u);
    EXPECT_EQ(welcomes[0].epoch, kEpoch);
    EXPECT_EQ(welcomes[0].manifest, manifest_.digest());
    EXPECT_EQ(welcomes[0].manifest_bytes, manifest_.encode().size());
  }
  EXPECT_EQ(assigned_units(), 2u * 2 * 6 * 2);
  EXPECT_EQ(membership_->state().units_ready(), 0u) << "until they say so again";
  pass(std::chrono::seconds(1), [this] {
    for (uint8_t number : std::vector<uint8_t>{1, 2})
      tell(number, Heartbeat{kEpoch, 1'000'000, false});
  });
  make_ready(1);
  EXPECT_EQ(membership_->state().units_ready(), 2u * 6 * 2);
}

TEST_F(MembershipGrowthTest, UnitsStayWithThoseWhoHaveThem) {
  join(1);
  join(2);
  join(3);
  for (uint8_t number : std::vector<uint8_t>{1, 2, 3}) make_ready(number);
  std::map<uint8_t, std::set<UnitId>> before;
  for (uint8_t number : std::vector<uint8_t>{1, 2, 3}) {
    before[number] = membership_->state().worker(peer(number))->assigned;
  }
  grow(2);
  grow(3);
  for (uint8_t number : std::vector<uint8_t>{1, 2, 3}) {
    const std::set<UnitId>& now = membership_->state().worker(peer(number))->assigned;
    for (UnitId unit : before[number]) EXPECT_TRUE(now.contains(unit)) << int{number};
  }
  EXPECT_EQ(assigned_units(), 2u * kUnits);
}

TEST_F(MembershipGrowthTest, AWorkerThatLeavesIsNotKeptByIt) {
  join(1);
  join(2);
  join(3);
  for (uint8_t number : std::vector<uint8_t>{1, 2, 3}) make_ready(number);
  tell(1, Goodbye{kEpoch, "leaving", true});
  grow(2);
  EXPECT_TRUE(membership_->state().worker(peer(1)) == nullptr ||
              membership_->state().worker(peer(1))->draining);
}

TEST_F(MembershipGrowthTest, WhoLacksUnitsIsToldAgain) {
  join(1);
  join(2);
  make_ready(1);
  forget_sent();
  membership_->assign_missing_again();
  EXPECT_TRUE(sent<Assignment>(1).empty());
  EXPECT_EQ(sent<Assignment>(2).size(), 1u);
}

}  // namespace
}  // namespace potluck
