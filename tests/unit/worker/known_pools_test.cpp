#include "worker/known_pools.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"

namespace potluck::test {
namespace {

PoolAddress pool(uint8_t number) {
  PoolAddress address;
  address.coordinator.bytes.fill(number);
  address.signing_key.fill(static_cast<uint8_t>(number + 100));
  address.compute_endpoint = "tcp://192.168.0.7:" + std::to_string(4000 + number);
  address.bulk_endpoint = "tcp://[fe80::1]:5000";
  address.places = {{"tcp://192.168.0.7:3999", address.compute_endpoint, address.bulk_endpoint},
                    {"", "tcp://a:1", "tcp://a:2"}};
  return address;
}

std::string path_of(const PoolAddress& address) {
  return "store/pools/" + Digest{address.coordinator.bytes}.hex();
}

bool same_pool(const PoolAddress& a, const PoolAddress& b) {
  return a.coordinator == b.coordinator && a.signing_key == b.signing_key &&
         a.compute_endpoint == b.compute_endpoint && a.bulk_endpoint == b.bulk_endpoint &&
         a.places == b.places && a.invitation.has_value() == b.invitation.has_value();
}

class KnownPoolsTest : public testing::Test {
 protected:
  MemoryStorage storage;
  KnownPools pools{storage, "store"};
  std::vector<std::string> problems;
};

TEST_F(KnownPoolsTest, NothingIsKnownAtFirst) {
  EXPECT_TRUE(pools.load_all(&problems).empty());
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(pools.load(pool(1).coordinator).error().code, ErrorCode::kNotFound);
}

TEST_F(KnownPoolsTest, WhatWasSavedIsLoaded) {
  ASSERT_TRUE(pools.save(pool(1)).ok());
  ASSERT_TRUE(pools.save(pool(2)).ok());
  std::vector<PoolAddress> loaded = KnownPools(storage, "store").load_all(&problems);
  ASSERT_EQ(loaded.size(), 2u);
  EXPECT_TRUE(same_pool(loaded[0], pool(1)));
  EXPECT_TRUE(same_pool(loaded[1], pool(2)));
  PoolAddress moved = pool(1);
  moved.compute_endpoint = "tcp://elsewhere.example:7";
  moved.places.front().compute = moved.compute_endpoint;
  ASSERT_TRUE(pools.save(moved).ok());
  EXPECT_TRUE(same_pool(*pools.load(moved.coordinator), moved));
  EXPECT_TRUE(problems.empty());
}

TEST_F(KnownPoolsTest, MalformedFilesAreReportedAndLeftOut) {
  ASSERT_TRUE(pools.save(pool(1)).ok());
  ASSERT_TRUE(pools.save(pool(2)).ok());
  std::string good(as_text(*read_file(storage, path_of(pool(1)), 4096)));
  std::vector<std::string> bad = {"",
                                  "\n",
                                  "potluck-pool 3" + good.substr(14),
                                  "potluck-pool 1" + good.substr(14),
                                  good + "more\n",
                                  good + "place tcp://a:1 tcp://a:2\n",
                                  good + "place tcp://a:1 tcp://a:2 -\n",
                                  good + "place - tcp://a:1 tcp://a:2 tcp://a:3\n",
                                  good.substr(0, good.find("place")),
                                  good.substr(0, good.size() - 1),
                                  good.substr(15),
                                  std::string(5000, 'x')};
  std::string other_scheme = good;
  other_scheme.replace(other_scheme.find("tcp"), 3, "ipc");
  bad.push_back(other_scheme);
  std::string short_key = good;
  short_key.erase(short_key.find("signing-key ") + 12, 1);
  bad.push_back(short_key);
  for (const std::string& text : bad) {
    ASSERT_TRUE(storage.write_atomic(path_of(pool(1)), as_bytes(text)).ok());
    problems.clear();
    std::vector<PoolAddress> loaded = pools.load_all(&problems);
    ASSERT_EQ(loaded.size(), 1u) << text;
    EXPECT_TRUE(same_pool(loaded[0], pool(2)));
    ASSERT_EQ(problems.size(), 1u) << text;
    EXPECT_NE(problems[0].find(path_of(pool(1))), std::string::npos) << problems[0];
  }
}

TEST_F(KnownPoolsTest, WhatEarlierVersionsWroteIsRead) {
  PoolAddress expected = pool(1);
  expected.places = {{"", expected.compute_endpoint, expected.bulk_endpoint}};
  std::string text = "potluck-pool 1\nsigning-key " + Digest{expected.signing_key}.hex() +
                     "\ncompute " + expected.compute_endpoint + "\nbulk " + expected.bulk_endpoint +
                     "\n";
  ASSERT_TRUE(storage.make_directories("store/pools").ok());
  ASSERT_TRUE(storage.write_atomic(path_of(expected), as_bytes(text)).ok());
  auto loaded = pools.load(expected.coordinator);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_TRUE(same_pool(*loaded, expected));
  auto load = [&](const std::string& changed) {
    EXPECT_TRUE(storage.write_atomic(path_of(expected), as_bytes(changed)).ok());
    return pools.load(expected.coordinator);
  };
  expected.places.front().join = "tcp://192.168.0.7:1";
  loaded = load(text + "join tcp://192.168.0.7:1\n");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_TRUE(same_pool(*loaded, expected));
  EXPECT_FALSE(load(text + "join ipc:///tmp/x\n").ok());
  EXPECT_FALSE(load(text + "join tcp://192.168.0.7:1\nmore\n").ok());
  text.replace(text.find("bulk tcp"), 8, "bulk ipc");
  EXPECT_FALSE(load(text).ok());
}

TEST_F(KnownPoolsTest, OnlySoManyPlacesAreKept) {
  PoolAddress many = pool(1);
  many.places.assign(limits::kPoolPlaces, many.places.front());
  ASSERT_TRUE(pools.save(many).ok());
  EXPECT_TRUE(pools.load(many.coordinator).ok());
  many.places.push_back(many.places.front());
  ASSERT_TRUE(pools.save(many).ok());
  EXPECT_FALSE(pools.load(many.coordinator).ok());
}

TEST_F(KnownPoolsTest, ForeignFilesAreLeftAlone) {
  ASSERT_TRUE(pools.save(pool(1)).ok());
  ASSERT_TRUE(storage.write_atomic("store/pools/README", as_bytes("hello")).ok());
  EXPECT_EQ(pools.load_all(&problems).size(), 1u);
  EXPECT_TRUE(problems.empty());
}

TEST_F(KnownPoolsTest, OnlySoManyAreKept) {
  for (size_t i = 0; i < KnownPools::kMost + 10; ++i) {
    ASSERT_TRUE(pools.save(pool(static_cast<uint8_t>(i))).ok());
    EXPECT_TRUE(pools.load(pool(static_cast<uint8_t>(i)).coordinator).ok());
  }
  EXPECT_EQ(pools.load_all(&problems).size(), KnownPools::kMost);
}

// They are nothing of ours: they take no pool's place, and are not removed to make room.
TEST_F(KnownPoolsTest, ForeignFilesDoNotCount) {
  ASSERT_TRUE(pools.save(pool(0)).ok());
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(
        storage.write_atomic(fmt::format("store/pools/.note-{}", i), as_bytes("hello")).ok());
  }
  for (size_t i = 0; i < KnownPools::kMost; ++i) {
    ASSERT_TRUE(pools.save(pool(static_cast<uint8_t>(i))).ok());
  }
  EXPECT_EQ(pools.load_all(&problems).size(), KnownPools::kMost);
  EXPECT_EQ(storage.list("store/pools")->size(), KnownPools::kMost + 10);
  ASSERT_TRUE(pools.save(pool(200)).ok());
  EXPECT_EQ(storage.list("store/pools")->size(), KnownPools::kMost + 10);
}

}  // namespace
}  // namespace potluck::test
