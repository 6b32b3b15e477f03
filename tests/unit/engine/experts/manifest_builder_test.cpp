#include "engine/experts/manifest_builder.h"

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/base/memory_storage.h"
#include "tests/unit/engine/experts/expert_fixture.h"

namespace potluck {
namespace {

using test::ExpertFixture;
using test::FixtureLayer;

std::vector<FixtureLayer> make_layers() {
  using T = TensorType;
  return {
      {1, 5, {256, 256, T::kQ4_K, T::kQ4_K, T::kQ6_K, true, {}}},
      {4, 2, {64, 320, T::kF16, T::kQ8_0, T::kQ4_0, false, {}}},
  };
}

class ManifestBuilderTest : public ::testing::Test {
 protected:
  ManifestBuilderTest()
      : records_(disk_, "records", fixture_.model().fingerprint().value()),
        expected_(build_manifest(fixture_.cutter(), "m").value()) {
    store_ = std::move(GrainStore::open(disk_, "store", 1 * kGiB).value());
  }

  Result<Manifest> build(int threads, GrainStore* store, LayerRecords* records) {
    ThreadPool pool(threads);
    reported_ = 0;
    return ManifestBuilder(fixture_.cutter(), pool, store, records)
        .build("m", [this](uint64_t done, uint64_t total) {
          EXPECT_GE(done, reported_);
          EXPECT_LE(done, total);
          reported_ = done;
        });
  }

  void expect_complete() {
    for (const ManifestLayer& layer : expected_.layers()) {
      for (uint16_t expert = 0; expert < layer.experts; ++expert) {
        for (uint16_t grain = 0; grain < layer.plan.grains; ++grain) {
          GrainId id{static_cast<uint16_t>(layer.layer), expert, grain};
          ByteVector bytes(expected_.grain_bytes(id));
          ASSERT_TRUE(store_->read(expected_.digest_of(id), bytes));
          ASSERT_EQ(bytes, fixture_.cut(id));
        }
      }
    }
  }

  ExpertFixture fixture_{make_layers(), 5};
  MemoryStorage disk_;
  LayerRecords records_;
  Manifest expected_;
  std::unique_ptr<GrainStore> store_;
  uint64_t reported_ = 0;
};

TEST_F(ManifestBuilderTest, ThreadsDoNotShow) {
  for (int threads : {1, 2, 3, 8}) {
    auto manifest = build(threads, nullptr, nullptr);
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->encode(), expected_.encode());
    EXPECT_EQ(reported_, expected_.total_bytes());
  }
}

TEST_F(ManifestBuilderTest, FillsTheStore) {
  auto manifest = build(2, store_.get(), &records_);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->encode(), expected_.encode());
  expect_complete();
}

TEST_F(ManifestBuilderTest, TakesRecordedDigestsAsTheyAre) {
  ASSERT_TRUE(build(1, nullptr, &records_));
  // Were the weights read again, this record would be put right.
  std::vector<Digest> other(expected_.layers()[1].grains.size(), Digest{});
  ASSERT_TRUE(records_.save(4, other));
  auto manifest = build(1, nullptr, &records_);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->layers()[0].grains, expected_.layers()[0].grains);
  EXPECT_EQ(manifest->layers()[1].grains, other);
  EXPECT_EQ(reported_, expected_.total_bytes());
}

TEST_F(ManifestBuilderTest, CutsAgainWhatTheStoreLost) {
  ASSERT_TRUE(build(2, store_.get(), &records_));
  store_->remove(expected_.digest_of({1, 3, 2}));
  store_->remove(expected_.digest_of({4, 0, 0}));
  auto manifest = build(2, store_.get(), &records_);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->encode(), expected_.encode());
  expect_complete();
}

TEST_F(ManifestBuilderTest, GoesOnAfterTheDiskWasFull) {
  disk_.set_capacity(limits::kDiskReserveBytes + expected_.total_bytes() / 2);
  auto manifest = build(1, store_.get(), &records_);
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::kLimit);
  size_t kept = store_->count();
  EXPECT_GT(kept, 0u);
  disk_.set_capacity(1 * kGiB);
  ASSERT_TRUE(build(1, store_.get(), &records_));
  expect_complete();
}

TEST(Fingerprint, ChangesWithTheFirstBytesOfAnyTensor) {
  ExpertFixture plain(make_layers(), 5);
  ExpertFixture same(make_layers(), 5);
  ExpertFixture other(make_layers(), 5, [](const std::string& name, ByteVector& bytes) {
    if (name == test::tensor_name(4, "down")) bytes[17] ^= std::byte{1};
  });
  EXPECT_EQ(plain.model().fingerprint().value(), same.model().fingerprint().value());
  EXPECT_NE(plain.model().fingerprint().value(), other.model().fingerprint().value());
}

}  // namespace
}  // namespace potluck
