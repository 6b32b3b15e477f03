#include "coordinator/cluster/device_list.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/numbered_key.h"

namespace potluck::test {
namespace {

class DeviceListTest : public testing::Test {
 protected:
  DeviceListTest() {
    add(1, "phone");
    add(2, "tablet");
    add(3, "phone");
    add(4, "");
  }
  void add(uint8_t number, const std::string& name) {
    EXPECT_TRUE(list_.add(numbered_key(number), name).ok());
  }
  static std::string text(uint8_t number) { return numbered_key(number).text(); }

  AllowList list_;
};

TEST_F(DeviceListTest, DevicesAreListedByName) {
  std::vector<PoolDevice> devices = list_devices(list_);
  ASSERT_EQ(devices.size(), 4u);
  EXPECT_EQ(devices[0].name, "");
  EXPECT_EQ(devices[3], (PoolDevice{numbered_key(2), "tablet"}));
}

TEST_F(DeviceListTest, ADeviceIsFoundByItsNameOrKey) {
  EXPECT_EQ(find_device(list_, "tablet")->key, numbered_key(2));
  EXPECT_EQ(find_device(list_, text(3))->key, numbered_key(3));
  EXPECT_EQ(find_device(list_, text(4).substr(0, 8))->key, numbered_key(4));
  EXPECT_EQ(find_device(list_, "laptop").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(find_device(list_, text(3).substr(0, 3)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(find_device(list_, text(3) + "x").error().code, ErrorCode::kNotFound);
}

TEST_F(DeviceListTest, TwoOfOneNameAreToldApartByTheirKeys) {
  auto both = find_device(list_, "phone");
  ASSERT_FALSE(both.ok());
  EXPECT_EQ(both.error().code, ErrorCode::kInvalidArgument);
  for (uint8_t number : std::initializer_list<uint8_t>{1, 3}) {
    EXPECT_NE(both.error().message.find(text(number)), std::string::npos);
  }
}

// Or revoking one would revoke the other.
TEST_F(DeviceListTest, ADeviceThatCallsItselfByAnothersKeyIsNotMeant) {
  add(5, text(2));
  EXPECT_EQ(find_device(list_, text(2))->key, numbered_key(2));
  add(6, text(2).substr(0, 8));
  EXPECT_EQ(find_device(list_, text(2).substr(0, 8))->key, numbered_key(2));
}

TEST_F(DeviceListTest, Renaming) {
  ASSERT_TRUE(rename_device(list_, "tablet", "kitchen tablet").ok());
  EXPECT_EQ(list_.entries().at(numbered_key(2)), "kitchen tablet");
  for (const std::string& name : {std::string(), std::string("a\nb"), std::string(65, 'x')}) {
    EXPECT_FALSE(rename_device(list_, text(2), name).ok()) << name;
  }
  EXPECT_FALSE(rename_device(list_, "phone", "x").ok());
  EXPECT_EQ(list_.size(), 4u);
}

TEST_F(DeviceListTest, RevokingIsKept) {
  MemoryStorage disk;
  AllowList list = *AllowList::load(disk, "members");
  ASSERT_TRUE(list.add(numbered_key(1), "phone").ok());
  EXPECT_EQ(revoke_device(list, "phone")->key, numbered_key(1));
  EXPECT_FALSE(list.contains(numbered_key(1)));
  EXPECT_EQ(AllowList::load(disk, "members")->size(), 0u);
  EXPECT_FALSE(revoke_device(list, "phone").ok());
}

}  // namespace
}  // namespace potluck::test
