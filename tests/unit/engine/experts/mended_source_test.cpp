// A store that was damaged in every way there is gives the right bytes all the same.
#include "engine/experts/mended_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/inline_reader.h"
#include "engine/experts/manifest_builder.h"
#include "tests/support/grain_on_disk.h"
#include "tests/support/recorded_log.h"
#include "tests/unit/engine/experts/expert_fixture.h"

namespace potluck {
namespace {

using test::ExpertFixture;
using test::FixtureLayer;
using ::testing::HasSubstr;

std::vector<FixtureLayer> make_mended_layers() {
  using T = TensorType;
  return {{1, 4, {256, 256, T::kQ4_K, T::kQ4_K, T::kQ6_K, false, {}}}};
}

// Counts the grains that are read.
class CountingReader final : public BlockReader {
 public:
  explicit CountingReader(const Clock& clock) : reader_(clock) {}

  void submit(std::span<const BlockRead> requests) override {
    for (const BlockRead& read : requests) reads += read.parts.size();
    reader_.submit(requests);
  }
  void promote(uint64_t tag) override { reader_.promote(tag); }
  void collect(std::vector<BlockReadDone>* done, bool wait) override {
    reader_.collect(done, wait);
  }
  size_t outstanding() const override { return reader_.outstanding(); }
  uint32_t depth() const override { return reader_.depth(); }
  std::string_view name() const override { return reader_.name(); }

  uint64_t reads = 0;

 private:
  InlineBlockReader reader_;
};

class MendedSourceTest : public ::testing::Test {
 protected:
  MendedSourceTest()
      : fixture_(make_mended_layers(), 5),
        manifest_(build_manifest(fixture_.cutter(), "m").value()) {
    for (uint16_t expert = 0; expert < 4; ++expert) {
      for (uint16_t grain = 0; grain < manifest_.layers()[0].plan.grains; ++grain) {
        ids_.push_back({1, expert, grain});
      }
    }
    open_store();
    for (GrainId id : ids_) {
      CHECK(store_->put(manifest_.digest_of(id), fixture_.cut(id)).ok());
    }
    open_source(fixture_.cutter());
  }

  void open_store() {
    store_.reset();
    store_ = std::move(GrainStore::open(storage_, "store", 1 * kGiB).value());
  }
  void open_source(const GrainCutter& cutter) {
    stored_ = std::make_unique<StoredSource>(
        manifest_, *store_, std::make_unique<InlineBlockReader>(clock_), clock_,
        StoredSourceOptions{ids_.size() / 2 * manifest_.largest_grain_bytes()});
    source_ = std::make_unique<MendedSource>(*stored_, *store_, manifest_, cutter, &log_);
  }
  test::GrainOnDisk on_disk(GrainId id) {
    return *test::grain_on_disk(storage_, "store", manifest_.digest_of(id));
  }

  // Asks for all grains and compares each.
  void expect_all() {
    source_->request(ids_);
    std::vector<int> seen(ids_.size(), 0);
    for (size_t come = 0; come < ids_.size();) {
      std::vector<GrainSource::Arrival> arrivals;
      Status taken = source_->take(&arrivals);
      ASSERT_TRUE(taken) << taken.error().message;
      ASSERT_FALSE(arrivals.empty());
      for (const auto& arrival : arrivals) {
        ByteVector expected = fixture_.cut(ids_[arrival.index]);
        ASSERT_EQ(arrival.view.bytes.size(), expected.size());
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), arrival.view.bytes.begin()));
        ++seen[arrival.index];
      }
      come += arrivals.size();
    }
    EXPECT_EQ(seen, std::vector<int>(ids_.size(), 1));
  }

  ManualClock clock_;
  ExpertFixture fixture_;
  Manifest manifest_;
  MemoryStorage storage_;
  std::vector<GrainId> ids_;
  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<StoredSource> stored_;
  std::unique_ptr<MendedSource> source_;
  test::RecordedLog log_;
};

TEST_F(MendedSourceTest, AWholeStoreIsLeftAlone) {
  expect_all();
  EXPECT_EQ(source_->mended(), 0u);
  EXPECT_TRUE(log_.events.empty());
}

TEST_F(MendedSourceTest, AlteredGrainsAreCutAgainAndStayMended) {
  for (size_t i : {0, 3, 4}) {
    test::GrainOnDisk place = on_disk(ids_[i]);
    storage_.flip_bit(place.path, place.offset + 100 * i);
  }
  std::string path = on_disk(ids_[3]).path;
  expect_all();
  EXPECT_EQ(source_->mended(), 3u);
  ASSERT_EQ(log_.events.size(), 3u);
  EXPECT_THAT(log_.events[0].message, HasSubstr(path));
  EXPECT_THAT(log_.events[0].message, HasSubstr("cut again from the model file"));
  expect_all();
  EXPECT_EQ(source_->mended(), 3u);
  open_store();
  open_source(fixture_.cutter());
  expect_all();
  EXPECT_EQ(source_->mended(), 0u);
}

TEST_F(MendedSourceTest, GrainsThatAreGoneComeBack) {
  store_->remove(manifest_.digest_of(ids_[1]));
  storage_.truncate(on_disk(ids_.back()).path, on_disk(ids_.back()).offset);
  expect_all();
  EXPECT_EQ(source_->mended(), 2u);
  expect_all();
  EXPECT_EQ(source_->mended(), 2u);
}

TEST_F(MendedSourceTest, ReadErrorsAreGotOver) {
  storage_.fail_reads(2);
  expect_all();
  EXPECT_GE(source_->mended(), 1u);
}

TEST_F(MendedSourceTest, AFullDiskIsNoReasonToStop) {
  test::GrainOnDisk place = on_disk(ids_[2]);
  storage_.flip_bit(place.path, place.offset);
  storage_.set_capacity(0);
  expect_all();
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_THAT(log_.events[0].message, HasSubstr("but not stored"));
}

// Each grain that cannot be read costs one read, regardless of the rest of the wave.
TEST_F(MendedSourceTest, ADyingDiskIsReadOnce) {
  auto counting = std::make_unique<CountingReader>(clock_);
  const uint64_t& reads = counting->reads;
  stored_ = std::make_unique<StoredSource>(
      manifest_, *store_, std::move(counting), clock_,
      StoredSourceOptions{2 * ids_.size() * manifest_.largest_grain_bytes()});
  source_ =
      std::make_unique<MendedSource>(*stored_, *store_, manifest_, fixture_.cutter(), nullptr);
  for (GrainId id : ids_) {
    test::GrainOnDisk place = on_disk(id);
    storage_.flip_bit(place.path, place.offset);
  }
  expect_all();
  EXPECT_EQ(source_->mended(), ids_.size());
  EXPECT_LE(reads, ids_.size());
}

TEST_F(MendedSourceTest, WithoutDescriptorsTheStoreIsLeftAlone) {
  open_store();
  open_source(fixture_.cutter());
  storage_.fail_opens(1);
  source_->request(ids_);
  std::vector<GrainSource::Arrival> arrivals;
  Status taken = source_->take(&arrivals);
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("too many open files"));
  arrivals.clear();  // what it views stays in memory
  EXPECT_EQ(store_->count(), ids_.size());
  expect_all();
  EXPECT_EQ(source_->mended(), 0u);
}

TEST_F(MendedSourceTest, ADyingDiskDoesNotFloodTheTerminal) {
  for (GrainId id : ids_) store_->remove(manifest_.digest_of(id));
  expect_all();
  EXPECT_EQ(source_->mended(), ids_.size());
  EXPECT_EQ(log_.events.size(), MendedSource::kNotices);
  EXPECT_THAT(log_.events.back().message, HasSubstr("further ones are not reported"));
}

TEST_F(MendedSourceTest, AnotherModelFileMendsNothing) {
  ExpertFixture other(make_mended_layers(), 6);
  open_source(other.cutter());
  store_->remove(manifest_.digest_of(ids_[0]));
  std::vector<GrainSource::Arrival> arrivals;
  source_->request(std::span(ids_).first(1));
  Status taken = source_->take(&arrivals);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(taken.error().message, HasSubstr("the model file, too, was altered"));
  EXPECT_TRUE(arrivals.empty());
}

TEST_F(MendedSourceTest, WhatDoesNotFitTheCacheIsNoDamage) {
  stored_ = std::make_unique<StoredSource>(manifest_, *store_,
                                           std::make_unique<InlineBlockReader>(clock_), clock_,
                                           StoredSourceOptions{100});
  source_ =
      std::make_unique<MendedSource>(*stored_, *store_, manifest_, fixture_.cutter(), nullptr);
  std::vector<GrainSource::Arrival> arrivals;
  source_->request(ids_);
  Status taken = source_->take(&arrivals);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kLimit);
  EXPECT_EQ(source_->mended(), 0u);
}

}  // namespace
}  // namespace potluck
