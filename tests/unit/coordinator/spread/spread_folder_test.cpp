#include "coordinator/spread/spread_folder.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/faulty_storage.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

SpreadAbout sample_about() {
  SpreadAbout about;
  about.source = "https://example.org/a/model.gguf";
  about.identities = {"100 bytes, ETag \"x\""};
  about.parts = {"model.gguf"};
  about.replicas = 3;
  about.whole_bytes = 100;
  about.resident_bytes = 40;
  about.expert_bytes = 60;
  about.grains = 8;
  about.layers = 2;
  return about;
}

TEST(SpreadFolderTest, RemembersTheSource) {
  MemoryStorage disk;
  SpreadFolder folder(disk, "m");
  EXPECT_EQ(folder.about().error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(folder.save_about(sample_about()));
  auto about = folder.about();
  ASSERT_TRUE(about) << about.error().message;
  EXPECT_EQ(about->source, sample_about().source);
  EXPECT_EQ(about->identities, sample_about().identities);
  EXPECT_EQ(about->replicas, 3u);
  EXPECT_EQ(about->grains, 8u);
}

TEST(SpreadFolderTest, WhatIsNotItsOwnIsRefused) {
  MemoryStorage disk;
  SpreadFolder folder(disk, "m");
  SpreadAbout about = sample_about();
  about.parts = {"../../etc/passwd"};
  EXPECT_FALSE(folder.save_about(about));
  about = sample_about();
  about.source = "a\nreplicas 9";
  EXPECT_FALSE(folder.save_about(about));
  for (const char* text :
       {"", "spread 2\n", "spread 1\nsource \n", "spread 1\nsource x\nreplicas -1\n", "\n\n"}) {
    ASSERT_TRUE(disk.write_atomic("m/about", as_bytes(text)));
    EXPECT_FALSE(folder.about()) << text;
  }
}

TEST(SpreadFolderTest, DigestsOfALayerGrowAndAreCheckedWhenReadBack) {
  MemoryStorage disk;
  SpreadFolder folder(disk, "m");
  EXPECT_TRUE(folder.layer(1, 4, 2, 1).empty());
  ASSERT_TRUE(folder.save_about(sample_about()));
  std::vector<Digest> digests = {test::sample_digest(1), test::sample_digest(2)};
  ASSERT_TRUE(folder.save_layer(1, digests, 1));
  EXPECT_EQ(folder.layer(1, 4, 2, 1), digests);
  digests.insert(digests.end(), {test::sample_digest(3), test::sample_digest(4)});
  ASSERT_TRUE(folder.save_layer(1, digests, 1));
  EXPECT_EQ(folder.layer(1, 4, 2, 1), digests);
  EXPECT_EQ(folder.known_grains(2), 4u);
  EXPECT_TRUE(folder.layer(1, 1, 2, 1).empty()) << "more experts than the layer has";
  EXPECT_TRUE(folder.layer(1, 4, 3, 1).empty()) << "parts of an expert";
  EXPECT_TRUE(folder.layer(1, 4, 2, 2).empty()) << "another order of bytes in the grains";
  ASSERT_TRUE(folder.save_layer(1, digests, 2));
  EXPECT_EQ(folder.layer(1, 4, 2, 2), digests);
  EXPECT_TRUE(folder.layer(1, 4, 2, 1).empty()) << "likewise";
  ASSERT_TRUE(folder.save_layer(1, digests, 1));
  disk.flip_bit("m/layers/1", 5);
  EXPECT_TRUE(folder.layer(1, 4, 2, 1).empty());
}

TEST(SpreadFolderTest, APowerCutLeavesTheOldDigestsOrTheNew) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    MemoryStorage disk;
    SpreadFolder folder(disk, "m");
    ASSERT_TRUE(folder.save_about(sample_about()));
    std::vector<Digest> before = {test::sample_digest(1)};
    ASSERT_TRUE(folder.save_layer(0, before, 1));
    test::FaultyStorage full(disk);
    full.fail_writes("m/layers", 1);
    std::vector<Digest> after = {test::sample_digest(1), test::sample_digest(2)};
    EXPECT_FALSE(SpreadFolder(full, "m").save_layer(0, after, 1));
    disk.cut_power(seed);
    EXPECT_EQ(folder.layer(0, 4, 1, 1), before);
    ASSERT_TRUE(folder.save_layer(0, after, 1));
    disk.cut_power(seed);
    EXPECT_EQ(folder.layer(0, 4, 1, 1), after);
  }
}

TEST(SpreadFolderTest, NamesAreOnlyNames) {
  EXPECT_EQ(folder_name("Qwen3-30B.A3B_Q4"), "Qwen3-30B.A3B_Q4");
  EXPECT_EQ(folder_name("../x"), "_..-x");
  EXPECT_EQ(folder_name(""), "_");
  EXPECT_EQ(folder_name("a b\n/c"), "a-b--c");
  EXPECT_EQ(folder_name(std::string(500, 'x')).size(), 128u);
  EXPECT_EQ(folder_name(folder_name("-rf")), folder_name("-rf"));
}

}  // namespace
}  // namespace potluck
