#include "coordinator/cli/nodes_file.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(NodesFile, DevicesAsDescribed) {
  auto described = parse_nodes("pool.toml",
                               "[coordinator]\nproducts = \"25GB/s\"\n"
                               "[phone]\ncount = 2\nram = \"2GiB\"\ndisk = \"64GiB\"\n"
                               "disk-rate = \"800MB/s\"\nproducts = \"9GB/s\"\n"
                               "round-trip = \"3ms\"\nlink = \"25MB/s\"\nhealth = 0.5\n"
                               "[here]\nlocal = true\n");
  ASSERT_TRUE(described.ok()) << described.error().message;
  EXPECT_TRUE(described->has_coordinator);
  ASSERT_EQ(described->names, (std::vector<std::string>{"phone 1", "phone 2", "here"}));
  const DeviceFacts& phone = described->pool.devices[0];
  EXPECT_EQ(phone, described->pool.devices[1]);
  EXPECT_EQ(phone.ram_bytes, 2 * kGiB);
  EXPECT_EQ(phone.disk_rate, 8e8);
  EXPECT_EQ(phone.products[0].one_row, 9'000'000'000u);
  EXPECT_EQ(phone.products[0].many_rows, 36'000'000'000u);
  EXPECT_DOUBLE_EQ(phone.round_trip, 3e-3);
  EXPECT_EQ(phone.link_rate, 2.5e7);
  EXPECT_EQ(phone.health, 0.5);
  EXPECT_FALSE(phone.local);
  EXPECT_TRUE(described->pool.devices[2].local);
  EXPECT_EQ(described->pool.devices[2].disk_rate, 0) << "not known";
}

TEST(NodesFile, ErrorsNameTheLine) {
  for (const auto& [text, saying] : std::initializer_list<std::pair<const char*, const char*>>{
           {"[a]\ncount = 2\nram = \"much\"\n", "pool.toml:3: [a] ram: "},
           {"[a]\nlocal = \"true\"\n", "pool.toml:2: [a] local: expected count"},
           {"[a]\nround-trip = 3\n", "pool.toml:2: [a] round-trip: "},
           {"[[a]]\n", "pool.toml:1"},
           {"a = 1\n", "pool.toml:1"},
           {"[a]\ncount = 999\n[b]\ncount = 2\n", "1001 devices"},
       }) {
    auto described = parse_nodes("pool.toml", text);
    ASSERT_FALSE(described.ok()) << text;
    EXPECT_NE(described.error().message.find(saying), std::string::npos)
        << described.error().message;
  }
  EXPECT_TRUE(parse_nodes("pool.toml", "").ok());
}

}  // namespace
}  // namespace potluck
