#include "engine/experts/layer_records.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

Digest digest_of(uint8_t seed) {
  std::byte byte{seed};
  return sha256({&byte, 1});
}

class LayerRecordsTest : public ::testing::Test {
 protected:
  std::string path(uint32_t layer) {
    return "records/" + digest_of(1).hex() + "/layer-" + std::to_string(layer);
  }

  MemoryStorage storage_;
  LayerRecords records_{storage_, "records", digest_of(1)};
  std::vector<Digest> digests_{digest_of(10), digest_of(11), digest_of(12)};
};

TEST_F(LayerRecordsTest, GiveBackWhatWasSaved) {
  EXPECT_FALSE(records_.load(5, 3));
  ASSERT_TRUE(records_.save(5, digests_));
  EXPECT_EQ(records_.load(5, 3), digests_);
  EXPECT_FALSE(records_.load(4, 3));
  std::vector<Digest> others{digest_of(20), digest_of(21), digest_of(22)};
  ASSERT_TRUE(records_.save(5, others));
  EXPECT_EQ(records_.load(5, 3), others);
}

TEST_F(LayerRecordsTest, AreOfOneModelFile) {
  ASSERT_TRUE(records_.save(5, digests_));
  LayerRecords other(storage_, "records", digest_of(2));
  EXPECT_FALSE(other.load(5, 3));
}

TEST_F(LayerRecordsTest, OfAnotherLengthDoNotCount) {
  ASSERT_TRUE(records_.save(5, digests_));
  EXPECT_FALSE(records_.load(5, 2));
  EXPECT_FALSE(records_.load(5, 4));
  storage_.truncate(path(5), 96);
  EXPECT_FALSE(records_.load(5, 3));
  EXPECT_FALSE(records_.load(5, 2));
}

TEST_F(LayerRecordsTest, AreNotBelievedOnceAltered) {
  for (uint64_t byte : {0, 50, 95, 96, 127}) {
    ASSERT_TRUE(records_.save(5, digests_));
    storage_.flip_bit(path(5), byte);
    EXPECT_FALSE(records_.load(5, 3)) << byte;
  }
}

}  // namespace
}  // namespace potluck
