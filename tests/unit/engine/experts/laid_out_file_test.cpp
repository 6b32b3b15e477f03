// Experts that are read from the model file itself are, byte for byte, what is cut for a store; and
// a file that changes or fails meanwhile is noticed.
#include "engine/experts/laid_out_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/inline_reader.h"
#include "engine/experts/file_origin.h"
#include "engine/experts/laid_out_reader.h"
#include "engine/experts/lay_out_speed.h"
#include "engine/experts/stored_source.h"
#include "tests/unit/engine/experts/expert_fixture.h"

namespace potluck {
namespace {

using test::ExpertFixture;
using test::FixtureLayer;
using ::testing::HasSubstr;

std::unique_ptr<LaidOutFile> open_laid_out(ExpertFixture& fixture) {
  auto file = LaidOutFile::open(fixture.model(), fixture.cutter(), fixture.storage());
  CHECK(file.ok());
  return std::move(*file);
}

Status read_expert(const LaidOutFile& file, uint32_t layer, uint32_t expert, ByteVector* out) {
  LaidOutFile::Place place = file.place(layer, expert);
  out->assign(place.bytes, std::byte{0xdd});
  return file.read_at(place.address, *out);
}

void expect_experts_as_cut(ExpertFixture& fixture) {
  auto file = open_laid_out(fixture);
  for (const ExpertBank& bank : fixture.banks()) {
    for (uint32_t expert = 0; expert < bank.experts; ++expert) {
      SCOPED_TRACE(testing::Message() << "layer " << bank.layer << " expert " << expert);
      ByteVector cut(fixture.cutter().expert_bytes(bank.layer));
      ASSERT_TRUE(fixture.cutter().cut_expert(bank.layer, expert, cut));
      ByteVector read;
      Status done = read_expert(*file, bank.layer, expert, &read);
      ASSERT_TRUE(done) << done.error().message;
      ASSERT_EQ(read, cut);
    }
  }
}

std::vector<FixtureLayer> layers_of_all_forms() {
  using T = TensorType;
  ExpertShape no_gate{64, 96, T::kQ8_0, T::kQ8_0, T::kQ4_0, false, ExpertActivation::kReluSquared};
  ExpertShape scales{64, 64, T::kNVFP4, T::kNVFP4, T::kNVFP4, false, {}, 0, true};
  return {
      {0, 2, {48, 40, T::kF32, T::kF16, T::kBF16, true, {}}},
      {1, 3, {64, 320, T::kQ8_0, T::kQ4_0, T::kQ8_0, false, {}}},
      {3, 2, {256, 768, T::kQ4_K, T::kQ6_K, T::kQ4_K, true, {}}},
      {5, 3, {256, 256, T::kQ4_K, T::kQ4_K, T::kQ5_K, false, {}}, true},  // gate and up joined
      {7, 2, {32, 31, T::kQ4_0, T::kF32, T::kF16, true, {}}},
      {8, 2, no_gate},
      {9, 2, scales},
  };
}

TEST(LaidOutFile, GivesTheBytesOfTheCutter) {
  for (uint64_t alignment : {1, 512, 4096}) {
    SCOPED_TRACE(alignment);
    ExpertFixture fixture(layers_of_all_forms(), 7);
    fixture.storage().set_direct_alignment(alignment);
    expect_experts_as_cut(fixture);
  }
}

TEST(LaidOutFile, LaysOutEveryFormat) {
  for (const BlockFormat& format : block_formats()) {
    SCOPED_TRACE(std::string(format.name));
    ExpertFixture fixture({{2, 2, {512, 768, format.type, format.type, format.type, false, {}}}},
                          11);
    fixture.storage().set_direct_alignment(4096);
    expect_experts_as_cut(fixture);
  }
}

TEST(LaidOutFile, ReadsLargeExpertsInPieces) {
  using T = TensorType;
  ExpertFixture fixture({{0, 2, {1024, 1120, T::kF32, T::kF16, T::kF32, true, {}}}}, 3);
  fixture.storage().set_direct_alignment(4096);
  LaidOutFile::Place place = open_laid_out(fixture)->place(0, 1);
  EXPECT_EQ(place.pieces, 10u);  // 4.4 MiB of gate and of down, 2.2 MiB of up
  EXPECT_EQ(place.file_bytes, 1024u * 1120 * (4 + 2 + 4));
  expect_experts_as_cut(fixture);
}

TEST(LaidOutFile, NamesTheFileThatCannotBeRead) {
  ExpertFixture fixture(layers_of_all_forms(), 7);
  auto file = open_laid_out(fixture);
  fixture.storage().fail_reads(1);
  ByteVector out;
  Status read = read_expert(*file, 1, 0, &out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kIo);
  EXPECT_THAT(read.error().message, HasSubstr("model.gguf"));
  EXPECT_TRUE(read_expert(*file, 1, 0, &out));
}

TEST(LaidOutFile, NoticesAFileThatWasCut) {
  ExpertFixture fixture(layers_of_all_forms(), 7);
  auto file = open_laid_out(fixture);
  // The end of the last layer's experts is gone, the first one's are still there.
  fixture.storage().truncate("model.gguf", fixture.model().file_bytes() - 1000);
  ByteVector out;
  EXPECT_EQ(read_expert(*file, 9, 1, &out).error().code, ErrorCode::kCorrupt);
  Status read = read_expert(*file, 1, 0, &out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(read.error().message, HasSubstr("model.gguf: the file was changed"));
}

TEST(LaidOutFile, RefusesAFileThatWasReplacedSinceTheModelWasOpened) {
  ExpertFixture fixture(layers_of_all_forms(), 7);
  ByteVector bytes(fixture.model().file_bytes() + 1);
  ASSERT_TRUE(fixture.storage().write_atomic("model.gguf", bytes));
  auto file = LaidOutFile::open(fixture.model(), fixture.cutter(), fixture.storage());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kCorrupt);
}

TEST(LaidOutFile, NoticesBytesThatAreOthersTheSecondTime) {
  ExpertFixture fixture(layers_of_all_forms(), 7);
  auto file = open_laid_out(fixture);
  const GgufTensor& up = *fixture.cutter().bank(1)->up;
  ByteVector out;
  ASSERT_TRUE(read_expert(*file, 1, 0, &out));
  fixture.storage().flip_bit("model.gguf", up.offset + 5);
  Status read = read_expert(*file, 1, 0, &out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(read.error().message, HasSubstr("are not what they were"));
  EXPECT_TRUE(read_expert(*file, 1, 1, &out)) << "another expert";
}

// --- Behind a cache -----------------------------------------------------------------------------

class FileSourceTest : public ::testing::Test {
 protected:
  FileSourceTest() : fixture_(layers_of_all_forms(), 9), origin_(*file_, fixture_.cutter()) {
    for (const ExpertBank& bank : fixture_.banks()) {
      for (uint16_t expert = 0; expert < bank.experts; ++expert) add_expert(bank, expert);
    }
  }

  void add_expert(const ExpertBank& bank, uint16_t expert) {
    for (uint16_t grain = 0; grain < fixture_.cutter().plan(bank.layer).grains; ++grain) {
      ids_.push_back({static_cast<uint16_t>(bank.layer), expert, grain});
    }
  }

  std::unique_ptr<BlockReader> reader() {
    return std::make_unique<LaidOutReader>(*file_, std::make_unique<InlineBlockReader>(clock_),
                                           threads_);
  }
  std::unique_ptr<StoredSource> source(uint64_t experts, std::unique_ptr<BlockReader> reads) {
    return std::make_unique<StoredSource>(
        origin_, std::move(reads), clock_,
        StoredSourceOptions{experts * round_up(origin_.largest_entry_bytes(), uint64_t{4096})});
  }

  void expect_wave(StoredSource& source, std::span<const GrainId> wave) {
    source.request(wave);
    std::vector<int> seen(wave.size(), 0);
    for (size_t come = 0; come < wave.size();) {
      std::vector<GrainSource::Arrival> arrivals;
      Status taken = source.take(&arrivals);
      ASSERT_TRUE(taken) << taken.error().message;
      ASSERT_FALSE(arrivals.empty());
      for (const auto& arrival : arrivals) {
        ByteVector expected = fixture_.cut(wave[arrival.index]);
        ASSERT_TRUE(std::ranges::equal(arrival.view.bytes, expected));
        ++seen[arrival.index];
      }
      come += arrivals.size();
    }
    EXPECT_EQ(seen, std::vector<int>(wave.size(), 1));
  }
  std::span<const GrainId> expert(uint16_t layer, uint16_t expert) const {
    auto is_its = [=](GrainId id) { return id.layer == layer && id.expert == expert; };
    auto first = std::find_if(ids_.begin(), ids_.end(), is_its);
    auto end = std::find_if_not(first, ids_.end(), is_its);
    return {first, end};
  }

  ManualClock clock_;
  ThreadPool threads_{3};
  ExpertFixture fixture_;
  std::unique_ptr<LaidOutFile> file_ = open_laid_out(fixture_);
  FileOrigin origin_;
  std::vector<GrainId> ids_;
};

TEST_F(FileSourceTest, GivesAllGrainsThroughAnyCache) {
  for (uint64_t experts : {1, 2, 3, 100}) {
    SCOPED_TRACE(experts);
    auto all = source(experts, reader());
    expect_wave(*all, ids_);
    expect_wave(*all, ids_);
    EXPECT_LE(all->resident_bytes(),
              experts * round_up(origin_.largest_entry_bytes(), uint64_t{4096}));
  }
}

TEST_F(FileSourceTest, ReadsWithThreads) {
  SystemClock clock;
  auto threads = open_block_reader(ReaderChoice::kThreads, 6, clock);
  ASSERT_TRUE(threads);
  auto all = source(5, std::make_unique<LaidOutReader>(*file_, std::move(*threads), threads_));
  for (int round = 0; round < 3; ++round) expect_wave(*all, ids_);
}

// An expert is one entry: read once and used once, whatever the number of its grains.
TEST_F(FileSourceTest, CountsExperts) {
  auto all = source(100, reader());
  expect_wave(*all, expert(3, 0));
  EXPECT_EQ(all->statistics().work.cache_misses, 1u);
  EXPECT_EQ(all->statistics().work.disk_bytes, file_->place(3, 0).file_bytes);
  expect_wave(*all, expert(3, 0));
  EXPECT_EQ(all->statistics().work.cache_misses, 1u);
  EXPECT_EQ(all->statistics().work.cache_hits, 1u);
}

TEST_F(FileSourceTest, ReadsAhead) {
  auto all = source(100, reader());
  all->request({});
  all->prefetch(expert(3, 1), Want::kSoon);
  expect_wave(*all, expert(1, 0));
  expect_wave(*all, expert(3, 1));
  EXPECT_EQ(all->statistics().prefetches, 1u);
  EXPECT_EQ(all->statistics().work.prefetches_used, 1u);
  EXPECT_EQ(all->statistics().work.cache_misses, 1u);
}

TEST_F(FileSourceTest, AFailedReadFailsItsExpertAlone) {
  auto all = source(100, reader());
  std::vector<GrainId> wave(expert(1, 0).begin(), expert(1, 0).end());
  std::ranges::copy(expert(1, 1), std::back_inserter(wave));
  fixture_.storage().fail_reads(1);
  all->request(wave);
  std::vector<GrainSource::Arrival> arrivals;
  std::vector<StoredSource::Failure> failures;
  while (arrivals.size() + failures.size() < wave.size()) {
    ASSERT_TRUE(all->take_each(&arrivals, &failures));
  }
  EXPECT_EQ(failures.size(), expert(1, 0).size());
  for (const auto& failure : failures) {
    EXPECT_EQ(wave[failure.index].expert, 0);
    EXPECT_EQ(failure.error.code, ErrorCode::kIo);
  }
  arrivals.clear();
  expect_wave(*all, wave);
}

// Fewer buffers than an expert has pieces, and more experts than buffers.
TEST_F(FileSourceTest, ReadsPiecesAsBuffersBecomeFree) {
  ExpertFixture large(
      {{0, 3, {1024, 1120, TensorType::kF32, TensorType::kF32, TensorType::kQ8_0, true, {}}}}, 5);
  auto file = open_laid_out(large);
  SystemClock clock;
  auto one = open_block_reader(ReaderChoice::kThreads, 1, clock);
  ASSERT_TRUE(one);
  LaidOutReader reads(*file, std::move(*one), threads_);
  std::vector<ByteVector> experts(3);
  std::vector<BlockRead> requests;
  for (uint32_t i = 0; i < 3; ++i) {
    LaidOutFile::Place place = file->place(0, i);
    EXPECT_GT(place.pieces * file->buffer_bytes(), reads.buffer_bytes());
    experts[i].resize(place.bytes);
    requests.push_back({file.get(), place.address, MutableByteSpan(experts[i]), 70 + i, i != 1});
  }
  reads.submit(requests);
  reads.promote(72);
  std::vector<BlockReadDone> done;
  while (reads.outstanding() > 0) reads.collect(&done, true);
  ASSERT_EQ(done.size(), 3u);
  for (const BlockReadDone& read : done) {
    EXPECT_TRUE(read.status);
    ByteVector cut(large.cutter().expert_bytes(0));
    ASSERT_TRUE(large.cutter().cut_expert(0, static_cast<uint32_t>(read.tag - 70), cut));
    EXPECT_EQ(experts[read.tag - 70], cut) << read.tag;
  }
}

TEST_F(FileSourceTest, RefusesWhatTheModelHasNot) {
  auto all = source(100, reader());
  for (GrainId id : {GrainId{2, 0, 0}, GrainId{1, 3, 0}, GrainId{1, 0, 999}, GrainId{99, 0, 0}}) {
    EXPECT_EQ(all->get(id).error().code, ErrorCode::kNotFound);
  }
}

TEST_F(FileSourceTest, MeasuresHowFastItLaysOut) {
  SystemClock clock;
  EXPECT_GT(measure_lay_out_speed(fixture_.cutter(), clock), 1e6);
}

}  // namespace
}  // namespace potluck
