// The same bits, however the work is cut: the first invariant of the project, at the level where it
// is made.
#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/inline_reader.h"
#include "engine/experts/manifest_builder.h"
#include "engine/experts/stored_source.h"
#include "tests/unit/engine/experts/compute_case.h"

namespace potluck {
namespace {

using test::compute;
using test::ComputeCase;
using test::ExpertFixture;
using test::FixtureLayer;
using test::same_sums;

class Invariance : public ::testing::TestWithParam<FixtureLayer> {
 protected:
  Invariance() : fixture_({GetParam()}, 7), batch_(test::make_case(GetParam(), 9, 2, 8)) {
    source_ = std::move(ResidentSource::load(fixture_.cutter(), {}).value());
    expected_ = run(batch_.calls);
  }

  ExpertSums run(std::span<const ExpertCall> calls, int threads = 1) {
    return compute(batch_, calls, *select_kernels("scalar").value(), threads, *source_);
  }
  ExpertSums zeros() const {
    ExpertSums sums;
    sums.reset(batch_.tokens(), batch_.shape.hidden);
    return sums;
  }

  ExpertFixture fixture_;
  ComputeCase batch_;
  std::unique_ptr<ResidentSource> source_;
  ExpertSums expected_;
};

TEST_P(Invariance, Slices) {
  for (uint32_t slices : {2u, 3u, 4u, 8u, 64u}) {
    ExpertSums total = zeros();
    for (uint32_t slice = 0; slice < slices; ++slice) {
      test::add_sums(run(test::slice_calls(batch_, slice, slices)), &total);
    }
    EXPECT_TRUE(same_sums(total, expected_)) << slices;
  }
}

// Slices of several sizes of the same experts in one batch: ranges that overlap nowhere in a row,
// but differ between rows.
TEST_P(Invariance, MixedSlicesInOneBatch) {
  std::vector<ExpertCall> mixed;
  uint32_t grains = plan_chunks(batch_.shape).grains;
  for (const ExpertCall& call : batch_.calls) {
    uint32_t slices = 1 + call.row % 3;
    for (uint32_t slice = 0; slice < slices; ++slice) {
      ExpertCall part = call;
      part.grains = slice_grains(grains, slice, slices);
      mixed.push_back(part);
    }
  }
  for (int threads : {1, 3}) EXPECT_TRUE(same_sums(run(mixed, threads), expected_)) << threads;
}

TEST_P(Invariance, Threads) {
  for (int threads : {2, 3})
    EXPECT_TRUE(same_sums(run(batch_.calls, threads), expected_)) << threads;
}

TEST_P(Invariance, OrderOfCalls) {
  std::vector<ExpertCall> calls = batch_.calls;
  std::reverse(calls.begin(), calls.end());
  EXPECT_TRUE(same_sums(run(calls), expected_));
  std::rotate(calls.begin(), calls.begin() + 5, calls.end());
  EXPECT_TRUE(same_sums(run(calls, 2), expected_));
}

TEST_P(Invariance, BatchOrRowByRow) {
  ExpertSums total = zeros();
  for (uint32_t row = 0; row < batch_.tokens(); ++row) {
    std::vector<ExpertCall> calls;
    for (const ExpertCall& call : batch_.calls) {
      if (call.row == row) calls.push_back(call);
    }
    test::add_sums(run(calls), &total);
  }
  EXPECT_TRUE(same_sums(total, expected_));
}

// More rows than a tile holds, all at one expert.
TEST_P(Invariance, LongBatches) {
  ComputeCase batch = test::make_case(GetParam(), 80, 1, 9);
  for (ExpertCall& call : batch.calls) call.expert = 1;
  const KernelTable& kernels = *select_kernels("scalar").value();
  ExpertSums whole = compute(batch, batch.calls, kernels, 2, *source_);
  ExpertSums parts;
  parts.reset(80, batch.shape.hidden);
  for (size_t begin = 0; begin < 80; begin += 40) {
    auto calls = std::span(batch.calls).subspan(begin, 40);
    test::add_sums(compute(batch, calls, kernels, 1, *source_), &parts);
  }
  EXPECT_TRUE(same_sums(whole, parts));
}

TEST_P(Invariance, Kernels) {
  for (const KernelTable* kernels : available_kernels()) {
    EXPECT_TRUE(same_sums(compute(batch_, batch_.calls, *kernels, 2, *source_), expected_))
        << kernels->name;
    ComputeCase longer = test::make_case(GetParam(), 70, 2, 10);
    EXPECT_TRUE(same_sums(compute(longer, longer.calls, *kernels, 1, *source_),
                          compute(longer, longer.calls, *available_kernels()[0], 1, *source_)))
        << kernels->name;
  }
}

TEST_P(Invariance, Sources) {
  const KernelTable& kernels = *select_kernels("scalar").value();
  for (uint64_t budget : {uint64_t{0}, uint64_t{1 * kGiB}}) {
    GgufSource gguf(fixture_.cutter(), budget);
    EXPECT_TRUE(same_sums(compute(batch_, batch_.calls, kernels, 2, gguf), expected_)) << budget;
  }
  MemoryStorage storage;
  auto store = GrainStore::open(storage, "store", 1 * kGiB);
  ASSERT_TRUE(store);
  Manifest manifest = build_manifest(fixture_.cutter(), "m").value();
  const ManifestLayer& layer = manifest.layers().front();
  for (size_t i = 0; i < layer.grains.size(); ++i) {
    GrainId id{static_cast<uint16_t>(layer.layer), static_cast<uint16_t>(i / layer.plan.grains),
               static_cast<uint16_t>(i % layer.plan.grains)};
    ASSERT_TRUE((*store)->put(manifest.digest_of(id), fixture_.cut(id)));
  }
  SystemClock clock;
  for (uint64_t slabs : {1, 3, 1000}) {
    uint64_t budget = slabs * manifest.largest_grain_bytes();
    auto reader = slabs == 3
                      ? open_block_reader(ReaderChoice::kThreads, 4, clock).value()
                      : std::unique_ptr<BlockReader>(std::make_unique<InlineBlockReader>(clock));
    StoredSource stored(manifest, **store, std::move(reader), clock, {budget});
    EXPECT_TRUE(same_sums(compute(batch_, batch_.calls, kernels, 2, stored), expected_)) << slabs;
    EXPECT_LE(stored.resident_bytes(), budget);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Invariance, ::testing::ValuesIn(test::compute_layers()),
                         [](const auto& layer) {
                           const ExpertShape& shape = layer.param.shape;
                           auto activation = static_cast<int>(shape.activation);
                           std::string other =
                               activation > 0 ? "_A" + std::to_string(activation) : "";
                           if (shape.scales) other += "_scaled";
                           return std::string(block_format(shape.gate).name) + "_" +
                                  std::string(block_format(shape.up).name) + "_" +
                                  std::string(block_format(shape.down).name) + other;
                         });

}  // namespace
}  // namespace potluck
