#include "engine/experts/stored_source.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/base/inline_reader.h"
#include "engine/experts/manifest_builder.h"
#include "tests/support/grain_on_disk.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/engine/experts/expert_fixture.h"

namespace potluck {
namespace {

using test::ExpertFixture;
using test::FixtureLayer;

std::vector<FixtureLayer> make_stored_layers() {
  using T = TensorType;
  return {
      {1, 3, {256, 256, T::kQ4_K, T::kQ4_K, T::kQ6_K, true, {}}},
      {4, 2, {64, 320, T::kF16, T::kQ8_0, T::kQ4_0, false, {}}},
  };
}

class StoredSourceTest : public ::testing::Test {
 protected:
  StoredSourceTest()
      : fixture_(make_stored_layers(), 5),
        manifest_(build_manifest(fixture_.cutter(), "m").value()) {
    storage_.set_direct_alignment(4096);  // as strict as a disk
    auto opened = GrainStore::open(storage_, "store", 1 * kGiB);
    store_ = std::move(opened.value());
    for (const ManifestLayer& layer : manifest_.layers()) {
      for (uint16_t expert = 0; expert < layer.experts; ++expert) {
        for (uint16_t grain = 0; grain < layer.plan.grains; ++grain) {
          ids_.push_back({static_cast<uint16_t>(layer.layer), expert, grain});
        }
      }
    }
    for (GrainId id : ids_) put(id);
    slab_ = manifest_.largest_grain_bytes();
  }

  void put(GrainId id) { ASSERT_TRUE(store_->put(manifest_.digest_of(id), fixture_.cut(id))); }
  void flip_bit(GrainId id, uint64_t offset) {
    auto place = test::grain_on_disk(storage_, "store", manifest_.digest_of(id));
    storage_.flip_bit(place->path, place->offset + offset);
  }
  bool holds(const GrainView& view, GrainId id) {
    ByteVector expected = fixture_.cut(id);
    return view.bytes.size() == expected.size() &&
           std::equal(expected.begin(), expected.end(), view.bytes.begin());
  }

  std::unique_ptr<BlockReader> reader() { return std::make_unique<InlineBlockReader>(clock_); }

  ManualClock clock_;
  ExpertFixture fixture_;
  Manifest manifest_;
  MemoryStorage storage_;
  std::unique_ptr<GrainStore> store_;
  std::vector<GrainId> ids_;
  uint64_t slab_ = 0;
};

TEST_F(StoredSourceTest, HitsOnceItIsWarm) {
  StoredSource source(manifest_, *store_, reader(), clock_, {1 * kGiB});
  uint64_t bytes = 0;
  for (int round = 0; round < 3; ++round) {
    for (GrainId id : ids_) {
      Result<GrainView> view = source.get(id);
      ASSERT_TRUE(view) << view.error().message;
      ASSERT_TRUE(holds(*view, id));
      if (round == 0) bytes += view->bytes.size();
    }
  }
  EXPECT_EQ(source.statistics().work.cache_misses, ids_.size());
  EXPECT_EQ(source.statistics().work.cache_hits, 2 * ids_.size());
  EXPECT_EQ(source.statistics().work.disk_bytes, bytes);
}

TEST_F(StoredSourceTest, NeverExceedsItsBudgetAndKeepsViewsInPlace) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(seed);
    CounterRandom random(seed);
    uint64_t slabs = 1 + random.bits(0) % 6;
    uint64_t budget = slabs * slab_ + random.bits(1) % slab_;
    StoredSource source(manifest_, *store_, reader(), clock_, {budget});
    std::vector<std::pair<GrainId, GrainView>> held;
    for (uint64_t step = 2; step < 300; ++step) {
      if (random.bits(step, 0) % 3 == 0 && !held.empty()) {
        held.erase(held.begin() + static_cast<ptrdiff_t>(random.bits(step, 1) % held.size()));
        continue;
      }
      GrainId id = ids_[random.bits(step, 2) % ids_.size()];
      Result<GrainView> view = source.get(id);
      if (view) {
        held.emplace_back(id, std::move(*view));
      } else {
        ASSERT_EQ(view.error().code, ErrorCode::kLimit);
        ASSERT_GE(held.size(), slabs);
      }
      ASSERT_LE(source.resident_bytes(), budget);
      for (const auto& [name, seen] : held) ASSERT_TRUE(holds(seen, name));
    }
  }
}

TEST_F(StoredSourceTest, ALowerLimitTakesTheColdestAndAHigherOneLetsItGrow) {
  StoredSource source(manifest_, *store_, reader(), clock_, {ids_.size() * slab_});
  for (GrainId id : ids_) ASSERT_TRUE(source.get(id));
  EXPECT_EQ(source.resident_bytes(), ids_.size() * slab_);
  source.set_limit(3 * slab_ + 5);
  EXPECT_EQ(source.resident_bytes(), 3 * slab_);
  for (int round = 0; round < 2; ++round) {
    for (GrainId id : ids_) {
      Result<GrainView> view = source.get(id);
      ASSERT_TRUE(view) << view.error().message;
      ASSERT_TRUE(holds(*view, id));
      ASSERT_LE(source.resident_bytes(), 3 * slab_);
    }
  }
  source.set_limit(0);  // one slab is the least
  EXPECT_EQ(source.resident_bytes(), slab_);
  source.set_limit(UINT64_MAX);
  for (GrainId id : ids_) ASSERT_TRUE(holds(source.get(id).value(), id));
  EXPECT_EQ(source.resident_bytes(), ids_.size() * slab_);
  const uint64_t misses = source.statistics().work.cache_misses;
  for (GrainId id : ids_) ASSERT_TRUE(holds(source.get(id).value(), id));
  EXPECT_EQ(source.statistics().work.cache_misses, misses);
}

// Of a view nothing moves; what it holds beyond the limit goes when it is dropped.
TEST_F(StoredSourceTest, UnderALowerLimitViewsStayInPlace) {
  StoredSource source(manifest_, *store_, reader(), clock_, {ids_.size() * slab_});
  std::vector<GrainView> views;
  for (size_t i = 0; i < 4; ++i) views.push_back(source.get(ids_[i]).value());
  for (GrainId id : ids_) ASSERT_TRUE(source.get(id));
  std::vector<const std::byte*> places;
  for (const GrainView& view : views) places.push_back(view.bytes.data());
  source.set_limit(2 * slab_);
  EXPECT_EQ(source.resident_bytes(), 4 * slab_);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(views[i].bytes.data(), places[i]);
    EXPECT_TRUE(holds(views[i], ids_[i]));
  }
  EXPECT_EQ(source.get(ids_[5]).error().code, ErrorCode::kLimit);
  views.clear();
  ASSERT_TRUE(holds(source.get(ids_[5]).value(), ids_[5]));
  EXPECT_LE(source.resident_bytes(), 2 * slab_);
}

// Limits of any size at any time, with views of any age: the bytes are right, and the limit holds
// as soon as views allow it.
TEST_F(StoredSourceTest, LimitsAtAnyTimeChangeNoBytes) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(seed);
    CounterRandom random(seed);
    StoredSource source(manifest_, *store_, reader(), clock_, {8 * slab_});
    std::vector<std::pair<GrainId, GrainView>> held;
    uint64_t limit = 8;
    for (uint64_t step = 0; step < 400; ++step) {
      if (random.bits(step, 0) % 9 == 0) {
        limit = 1 + random.bits(step, 3) % 8;
        source.set_limit(limit * slab_);
      }
      if (held.size() >= limit || (random.bits(step, 0) % 3 == 0 && !held.empty())) {
        held.erase(held.begin() + static_cast<ptrdiff_t>(random.bits(step, 1) % held.size()));
        continue;
      }
      GrainId id = ids_[random.bits(step, 2) % ids_.size()];
      Result<GrainView> view = source.get(id);
      ASSERT_TRUE(view) << view.error().message;
      held.emplace_back(id, std::move(*view));
      ASSERT_LE(source.resident_bytes(), limit * slab_);
      for (const auto& [name, seen] : held) ASSERT_TRUE(holds(seen, name));
    }
  }
}

TEST_F(StoredSourceTest, HeldGrainsAreNotTheOnesToGo) {
  StoredSource source(manifest_, *store_, reader(), clock_, {3 * slab_});
  GrainView held = source.get(ids_[0]).value();
  const std::byte* place = held.bytes.data();
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 1; i < 6; ++i) ASSERT_TRUE(source.get(ids_[i]));
  }
  EXPECT_TRUE(holds(held, ids_[0]));
  uint64_t misses = source.statistics().work.cache_misses;
  EXPECT_EQ(source.get(ids_[0]).value().bytes.data(), place);
  EXPECT_EQ(source.statistics().work.cache_misses, misses);
}

TEST_F(StoredSourceTest, TheColdestGoesFirst) {
  StoredSource source(manifest_, *store_, reader(), clock_, {3 * slab_});
  for (size_t i : {0, 1, 2, 0, 3}) ASSERT_TRUE(source.get(ids_[i]));  // 1 goes for 3
  EXPECT_EQ(source.statistics().work.cache_misses, 4u);
  for (size_t i : {0, 2, 3}) ASSERT_TRUE(source.get(ids_[i]));
  EXPECT_EQ(source.statistics().work.cache_misses, 4u);
  ASSERT_TRUE(source.get(ids_[1]));
  EXPECT_EQ(source.statistics().work.cache_misses, 5u);
}

TEST_F(StoredSourceTest, BudgetBelowOneGrainSaysSo) {
  for (uint64_t budget : {uint64_t{0}, slab_ - 1}) {
    StoredSource source(manifest_, *store_, reader(), clock_, {budget});
    Result<GrainView> view = source.get(ids_[0]);
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, ErrorCode::kLimit);
    EXPECT_EQ(source.resident_bytes(), 0u);
  }
}

TEST_F(StoredSourceTest, AlteredGrainIsNoticedAndCanBeFetchedAgain) {
  StoredSource source(manifest_, *store_, reader(), clock_, {4 * slab_});
  flip_bit(ids_[2], 1000);
  Result<GrainView> view = source.get(ids_[2]);
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(source.statistics().corrupt_grains, 1u);
  EXPECT_EQ(source.resident_bytes(), 0u);
  view = source.get(ids_[2]);
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kNotFound);
  put(ids_[2]);
  EXPECT_TRUE(holds(source.get(ids_[2]).value(), ids_[2]));
}

TEST_F(StoredSourceTest, GrainsOutsideTheManifestDoNotExist) {
  StoredSource source(manifest_, *store_, reader(), clock_, {4 * slab_});
  for (GrainId id : {GrainId{0, 0, 0}, GrainId{1, 3, 0}, GrainId{1, 0, 8}, GrainId{99, 9, 9}}) {
    Result<GrainView> view = source.get(id);
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, ErrorCode::kNotFound);
  }
}

TEST_F(StoredSourceTest, ViewsOutliveTheSource) {
  auto source = std::make_unique<StoredSource>(manifest_, *store_, reader(), clock_,
                                               StoredSourceOptions{4 * slab_});
  GrainView view = source->get(ids_[1]).value();
  source.reset();
  EXPECT_TRUE(holds(view, ids_[1]));
}

TEST_F(StoredSourceTest, ReadsFromARealDisk) {
  test::TemporaryDirectory directory;
  auto disk = make_system_storage();
  auto store = GrainStore::open(*disk, directory / "store", 1 * kGiB);
  ASSERT_TRUE(store) << store.error().message;
  for (GrainId id : ids_) {
    ASSERT_TRUE((*store)->put(manifest_.digest_of(id), fixture_.cut(id)));
  }
  StoredSource source(manifest_, **store, reader(), clock_, {2 * slab_});
  for (GrainId id : ids_) EXPECT_TRUE(holds(source.get(id).value(), id));
}

// Takes the whole wave; the indices in order of arrival.
std::vector<size_t> take_all(StoredSource& source, size_t count) {
  std::vector<GrainSource::Arrival> arrivals;
  std::vector<size_t> order;
  while (order.size() < count) {
    arrivals.clear();
    Status taken = source.take(&arrivals);
    EXPECT_TRUE(taken) << taken.error().message;
    if (!taken) return order;
    for (const GrainSource::Arrival& arrival : arrivals) order.push_back(arrival.index);
  }
  return order;
}

TEST_F(StoredSourceTest, HitsComeBeforeWhatIsRead) {
  StoredSource source(manifest_, *store_, reader(), clock_, {8 * slab_});
  ASSERT_TRUE(source.get(ids_[2]));
  ASSERT_TRUE(source.get(ids_[4]));
  std::vector<GrainId> wave(ids_.begin(), ids_.begin() + 6);
  source.request(wave);
  std::vector<GrainSource::Arrival> first;
  ASSERT_TRUE(source.take(&first));
  ASSERT_GE(first.size(), 2u);
  EXPECT_EQ(first[0].index, 2u);
  EXPECT_EQ(first[1].index, 4u);
  std::vector<size_t> rest = take_all(source, 6 - first.size());
  EXPECT_EQ(first.size() + rest.size(), 6u);
  EXPECT_EQ(source.statistics().work.cache_hits, 2u);
  EXPECT_EQ(source.statistics().work.cache_misses, 6u);
}

TEST_F(StoredSourceTest, AWaveLargerThanTheCacheComesInParts) {
  StoredSource source(manifest_, *store_, reader(), clock_, {3 * slab_});
  source.request(ids_);
  std::vector<size_t> order = take_all(source, ids_.size());
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < ids_.size(); ++i) ASSERT_EQ(order[i], i);
  EXPECT_LE(source.resident_bytes(), 3 * slab_);
}

TEST_F(StoredSourceTest, PrefetchesAreReadAfterTheWaveAndUsedByTheNext) {
  StoredSource source(manifest_, *store_, reader(), clock_, {8 * slab_});
  source.prefetch(std::span(ids_).subspan(1, 2), Want::kPerhaps);
  source.request({&ids_[0], 1});
  EXPECT_EQ(take_all(source, 1).size(), 1u);
  std::vector<GrainId> next{ids_[1], ids_[3]};
  source.request(next);
  take_all(source, 2);
  EXPECT_EQ(source.statistics().prefetches, 2u);
  EXPECT_EQ(source.statistics().work.prefetches_used, 1u);
  EXPECT_EQ(source.statistics().work.cache_hits, 1u);
  EXPECT_EQ(source.statistics().work.cache_misses, 2u);
}

// The rest of this layer's reads is under way, nothing of it is awaited any more: what the next
// layer needs soon is read meanwhile, however much it is.
TEST_F(StoredSourceTest, WhatIsNeededSoonQueuesBehindTheWave) {
  StoredSource source(manifest_, *store_, reader(), clock_, {1 * kGiB});
  source.prefetch(std::span(ids_).subspan(2), Want::kSoon);
  source.request(std::span(ids_).first(2));
  take_all(source, 2);
  EXPECT_EQ(source.statistics().prefetches, ids_.size() - 2);
  source.request(std::span(ids_).subspan(2));
  EXPECT_EQ(take_all(source, ids_.size() - 2).size(), ids_.size() - 2);
  EXPECT_EQ(source.statistics().work.cache_misses, 2u);
  EXPECT_EQ(source.statistics().work.prefetches_used, ids_.size() - 2);
}

// A pass over all layers through a cache of half the model: the layer just computed makes room for
// the next one, and nothing is read twice.
TEST_F(StoredSourceTest, WhatIsNeededSoonTakesThePlaceOfOtherLayers) {
  std::vector<GrainId> first;
  std::vector<GrainId> second;
  for (GrainId id : ids_) (id.layer == 1 ? first : second).push_back(id);
  StoredSource source(manifest_, *store_, reader(), clock_,
                      {std::max(first.size(), second.size()) * slab_});
  for (int round = 0; round < 3; ++round) {
    for (bool odd : {false, true}) {
      const auto& wave = odd ? second : first;
      source.prefetch(odd ? first : second, Want::kSoon);
      source.request(wave);
      EXPECT_EQ(take_all(source, wave.size()).size(), wave.size());
    }
  }
  const StoreCounters counters = source.statistics();
  EXPECT_LE(counters.work.cache_misses + counters.prefetches, 6 * ids_.size() / 2);
  EXPECT_EQ(counters.work.prefetches_wasted, 0u);
}

TEST_F(StoredSourceTest, UnusedPrefetchesLeaveFirst) {
  StoredSource source(manifest_, *store_, reader(), clock_, {3 * slab_});
  source.request({&ids_[0], 1});
  source.prefetch({&ids_[1], 1}, Want::kPerhaps);
  take_all(source, 1);
  for (size_t i : {2, 3}) ASSERT_TRUE(source.get(ids_[i]));  // the second one needs a place
  EXPECT_EQ(source.statistics().work.prefetches_wasted, 1u);
  uint64_t misses = source.statistics().work.cache_misses;
  for (size_t i : {0, 2, 3}) ASSERT_TRUE(source.get(ids_[i]));
  EXPECT_EQ(source.statistics().work.cache_misses, misses);
}

TEST_F(StoredSourceTest, WithoutPrefetchNothingIsReadAhead) {
  StoredSourceOptions options{.budget_bytes = 8 * slab_, .read_ahead = ReadAhead::kOff};
  StoredSource source(manifest_, *store_, reader(), clock_, options);
  EXPECT_EQ(source.read_ahead(), ReadAhead::kOff);
  source.prefetch(std::span(ids_).subspan(1, 2), Want::kPerhaps);
  ASSERT_TRUE(source.get(ids_[0]));
  ASSERT_TRUE(source.get(ids_[5]));
  EXPECT_EQ(source.statistics().prefetches, 0u);
}

TEST_F(StoredSourceTest, GuessesAreLeftOutWhereOnlyWhatIsSureIsReadAhead) {
  StoredSourceOptions options{.budget_bytes = 8 * slab_, .read_ahead = ReadAhead::kSure};
  StoredSource source(manifest_, *store_, reader(), clock_, options);
  EXPECT_EQ(source.read_ahead(), ReadAhead::kSure);
  source.prefetch(std::span(ids_).subspan(1, 2), Want::kPerhaps);
  ASSERT_TRUE(source.get(ids_[0]));
  EXPECT_EQ(source.statistics().prefetches, 0u);
  source.prefetch(std::span(ids_).subspan(1, 2), Want::kSoon);
  ASSERT_TRUE(source.get(ids_[5]));
  EXPECT_EQ(source.statistics().prefetches, 2u);
}

TEST_F(StoredSourceTest, AReadErrorNamesTheGrainAndLosesNothingElse) {
  StoredSource source(manifest_, *store_, reader(), clock_, {8 * slab_});
  ASSERT_TRUE(source.get(ids_[1]));
  storage_.fail_reads(1);
  std::vector<GrainId> wave(ids_.begin(), ids_.begin() + 2);
  source.request(wave);
  std::vector<GrainSource::Arrival> arrivals;
  Status taken = source.take(&arrivals);
  if (taken) taken = source.take(&arrivals);  // the hit came alone
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kIo);
  ASSERT_TRUE(source.failed_grain());
  EXPECT_EQ(*source.failed_grain(), ids_[0]);
  EXPECT_TRUE(holds(source.get(ids_[0]).value(), ids_[0]));
}

TEST_F(StoredSourceTest, AWaveGoesOnWithoutTheGrainsThatFail) {
  StoredSource source(manifest_, *store_, reader(), clock_, {5 * slab_});
  std::set<size_t> bad = {0, 3, 4, ids_.size() - 1};
  for (size_t i : bad) flip_bit(ids_[i], 100);
  store_->remove(manifest_.digest_of(ids_[7]));
  bad.insert(7);
  source.request(ids_);
  std::set<size_t> seen;
  std::set<size_t> failed;
  while (seen.size() + failed.size() < ids_.size()) {
    std::vector<GrainSource::Arrival> arrivals;
    std::vector<StoredSource::Failure> failures;
    ASSERT_TRUE(source.take_each(&arrivals, &failures));
    ASSERT_FALSE(arrivals.empty() && failures.empty());
    for (const auto& arrival : arrivals) {
      ASSERT_TRUE(holds(arrival.view, ids_[arrival.index]));
      EXPECT_TRUE(seen.insert(arrival.index).second);
    }
    for (const auto& failure : failures) EXPECT_TRUE(failed.insert(failure.index).second);
  }
  EXPECT_EQ(failed, bad);
}

// A manifest that says otherwise than the store is wrong, and the grain good.
TEST_F(StoredSourceTest, AnotherLengthInTheManifestIsNoDamage) {
  std::vector<ManifestLayer> layers(manifest_.layers().begin(), manifest_.layers().end());
  layers[1].grains[0] = layers[0].grains[0];
  Manifest wrong("m", layers);
  GrainId good = ids_[0];
  GrainId claimed{4, 0, 0};
  ASSERT_NE(wrong.grain_bytes(good), wrong.grain_bytes(claimed));
  StoredSource source(wrong, *store_, reader(), clock_, {8 * slab_});
  for (int round = 0; round < 2; ++round) {  // from disk, and from memory
    Result<GrainView> view = source.get(claimed);
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, ErrorCode::kInvalidArgument);
    std::vector<GrainId> both{good, claimed};
    source.request(both);
    std::vector<GrainSource::Arrival> arrivals;
    std::vector<StoredSource::Failure> failures;
    while (arrivals.size() + failures.size() < 2) {
      ASSERT_TRUE(source.take_each(&arrivals, &failures));
    }
    ASSERT_EQ(failures.size(), 1u);
    EXPECT_EQ(failures[0].index, 1u);
    EXPECT_TRUE(holds(arrivals.at(0).view, good));
  }
  EXPECT_TRUE(store_->contains(wrong.digest_of(good)));
}

TEST_F(StoredSourceTest, ThreadsReadTheSame) {
  StoredSource source(manifest_, *store_,
                      open_block_reader(ReaderChoice::kThreads, 4, clock_).value(), clock_,
                      {5 * slab_});
  for (uint64_t round = 0; round < 50; ++round) {
    std::vector<GrainId> wave;
    for (size_t i = 0; i < ids_.size(); ++i) {
      if (mix64(round * 1000 + i) % 3 == 0) wave.push_back(ids_[i]);
    }
    if (wave.empty()) continue;
    source.prefetch(std::span(ids_).first(2), Want::kPerhaps);
    source.request(wave);
    size_t seen = 0;
    while (seen < wave.size()) {
      std::vector<GrainSource::Arrival> arrivals;
      ASSERT_TRUE(source.take(&arrivals));
      for (const auto& arrival : arrivals) {
        ASSERT_TRUE(holds(arrival.view, wave[arrival.index]));
      }
      seen += arrivals.size();
    }
  }
}

}  // namespace
}  // namespace potluck
