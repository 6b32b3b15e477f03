#include "engine/experts/expert_compute.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "tests/unit/engine/experts/compute_case.h"

namespace potluck {
namespace {

using test::compute;
using test::ComputeCase;
using test::ExpertFixture;
using test::FixtureLayer;
using test::make_case;
using test::same_sums;

const KernelTable& scalar() {
  return *select_kernels("scalar").value();
}

std::string formats_of(const ExpertShape& shape) {
  return std::string(block_format(shape.gate).name) + ", " +
         std::string(block_format(shape.up).name) + ", " +
         std::string(block_format(shape.down).name);
}

TEST(ExpertCompute, GivesTheContractsBits) {
  for (const FixtureLayer& layer : test::compute_layers()) {
    SCOPED_TRACE(formats_of(layer.shape));
    ExpertFixture fixture({layer}, 21);
    ComputeCase batch = make_case(layer, 5, 2, 22);
    GgufSource source(fixture.cutter(), 1 * kGiB);
    ExpertSums expected = test::reference_sums(batch, fixture);
    ExpertSums found = compute(batch, batch.calls, scalar(), 1, source);
    EXPECT_EQ(found.flags, std::vector<uint8_t>(5, 0));
    size_t different = 0;
    for (size_t i = 0; i < found.sums.size(); ++i) {
      different += found.sums[i] != expected.sums[i] ? 1 : 0;
    }
    EXPECT_EQ(different, 0u) << "of " << found.sums.size();
  }
}

// The contract is also close to the mathematics: 8-bit activations cost about one part in a
// hundred, float weights only float32's rounding.
TEST(ExpertCompute, IsCloseToFloat64) {
  for (const FixtureLayer& layer : test::compute_layers()) {
    SCOPED_TRACE(formats_of(layer.shape));
    const ExpertShape& shape = layer.shape;
    ExpertFixture fixture({layer}, 31);
    ComputeCase batch = make_case(layer, 4, 2, 32);
    GgufSource source(fixture.cutter(), 1 * kGiB);
    ExpertSums found = compute(batch, batch.calls, scalar(), 1, source);
    std::vector<double> expected(found.sums.size());
    for (const ExpertCall& call : batch.calls) {
      std::vector<double> x(batch.x[call.row].begin(), batch.x[call.row].end());
      auto y = test::float64_expert(shape, fixture.expert(layer.layer, call.expert), x);
      for (uint32_t i = 0; i < shape.hidden; ++i) {
        expected[call.row * shape.hidden + i] += call.weight * y[i];
      }
    }
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      double value =
          std::ldexp(static_cast<double>(found.sums[i]), -batch.fraction_bits[i / shape.hidden]);
      error += (value - expected[i]) * (value - expected[i]);
      norm += expected[i] * expected[i];
    }
    bool floats = shape.input_form() == ActivationForm::kF32 &&
                  shape.product_form(shape.gate) == ActivationForm::kF32 &&
                  shape.product_form(shape.up) == ActivationForm::kF32 &&
                  shape.down_form() == ActivationForm::kF32;
    EXPECT_LT(std::sqrt(error / norm), floats ? 1e-5 : 2e-2);
    EXPECT_GT(norm, 0);
  }
}

TEST(ExpertCompute, AddsToWhatIsThereAndLeavesOtherRowsAlone) {
  FixtureLayer layer = test::compute_layers()[2];
  ExpertFixture fixture({layer}, 41);
  ComputeCase batch = make_case(layer, 4, 2, 42);
  GgufSource source(fixture.cutter(), 1 * kGiB);
  std::vector<ExpertCall> calls;
  for (const ExpertCall& call : batch.calls) {
    if (call.row != 2) calls.push_back(call);
  }
  for (int threads : {1, 3}) {
    ExpertSums once = compute(batch, calls, scalar(), threads, source);
    ThreadPool pool(threads);
    ExpertCompute expert_compute(scalar(), pool);
    ExpertSums sums;
    sums.reset(4, layer.shape.hidden);
    std::fill(sums.sums.begin(), sums.sums.end(), 1000);
    sums.flags = {0, 0, 1, 0};
    ASSERT_TRUE(expert_compute.run(layer.layer, layer.shape, batch.input.view(),
                                   batch.fraction_bits, calls, source, &sums));
    for (size_t i = 0; i < sums.sums.size(); ++i) EXPECT_EQ(sums.sums[i], once.sums[i] + 1000);
    EXPECT_EQ(sums.flags, (std::vector<uint8_t>{0, 0, 1, 0}));
  }
}

TEST(ExpertCompute, NothingToDo) {
  FixtureLayer layer = test::compute_layers()[2];
  ExpertFixture fixture({layer}, 43);
  ComputeCase batch = make_case(layer, 2, 1, 44);
  GgufSource source(fixture.cutter(), 1 * kGiB);
  ExpertSums none = compute(batch, {}, scalar(), 2, source);
  EXPECT_EQ(none.sums, std::vector<int64_t>(none.sums.size(), 0));
  std::vector<ExpertCall> empty = {{0, 1, {3, 0}, 1.0F}};  // a slice without grains
  EXPECT_TRUE(same_sums(compute(batch, empty, scalar(), 2, source), none));
}

// Weights that are not numbers: the rows that meet them are flagged, the others are as before.
TEST(ExpertCompute, NotANumberFlagsItsRowsOnly) {
  FixtureLayer layer = test::compute_layers()[2];
  auto poison = [](const std::string& name, ByteVector& bytes) {
    // The first scale of expert 1's part of down: a half NaN.
    if (name == test::tensor_name(2, "down")) {
      store(bytes.data() + bytes.size() / 3, uint16_t{0x7e00});
    }
  };
  ExpertFixture fixture({layer}, 51, poison);
  ComputeCase batch = make_case(layer, 6, 2, 52);
  GgufSource source(fixture.cutter(), 1 * kGiB);
  ExpertSums found = compute(batch, batch.calls, scalar(), 2, source);
  std::vector<uint8_t> flags(6, 0);
  for (const ExpertCall& call : batch.calls) {
    if (call.expert == 1) flags[call.row] = 1;
  }
  EXPECT_NE(flags, std::vector<uint8_t>(6, 1));
  EXPECT_NE(flags, std::vector<uint8_t>(6, 0));
  EXPECT_EQ(found.flags, flags);
  EXPECT_TRUE(same_sums(found, test::reference_sums(batch, fixture)));
}

TEST(ExpertCompute, AddendsOutOfRangeFlag) {
  FixtureLayer layer = test::compute_layers()[0];
  ExpertFixture fixture({layer}, 61);
  ComputeCase batch = make_case(layer, 5, 2, 62);
  GgufSource source(fixture.cutter(), 1 * kGiB);
  batch.fraction_bits[1] = 80;                                      // every addend far beyond 2^46
  batch.calls[4].weight = std::numeric_limits<float>::infinity();   // row 2
  batch.calls[7].weight = std::numeric_limits<float>::quiet_NaN();  // row 3
  ExpertSums found = compute(batch, batch.calls, scalar(), 2, source);
  EXPECT_EQ(found.flags, (std::vector<uint8_t>{0, 1, 1, 1, 0}));
  EXPECT_TRUE(same_sums(found, test::reference_sums(batch, fixture)));
}

class FailingSource final : public ImmediateSource {
 public:
  explicit FailingSource(GrainSource& inner, int good) : inner_(inner), good_(good) {}
  Result<GrainView> fetch(GrainId id) override {
    if (good_-- > 0) return inner_.get(id);
    return Error{ErrorCode::kNotFound, "gone"};
  }

 private:
  GrainSource& inner_;
  int good_;
};

TEST(ExpertCompute, ReportsTheSourcesFailure) {
  FixtureLayer layer = test::compute_layers()[4];
  ExpertFixture fixture({layer}, 71);
  ComputeCase batch = make_case(layer, 2, 2, 72);
  GgufSource gguf(fixture.cutter(), 1 * kGiB);
  ThreadPool pool(1);
  ExpertCompute expert_compute(scalar(), pool);
  ExpertSums sums;
  sums.reset(2, layer.shape.hidden);
  for (int good : {0, 1, 9}) {
    FailingSource source(gguf, good);
    Status status = expert_compute.run(layer.layer, layer.shape, batch.input.view(),
                                       batch.fraction_bits, batch.calls, source, &sums);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "gone");
  }
  // The same object works on afterwards.
  sums.reset(2, layer.shape.hidden);
  ASSERT_TRUE(expert_compute.run(layer.layer, layer.shape, batch.input.view(), batch.fraction_bits,
                                 batch.calls, gguf, &sums));
  EXPECT_TRUE(same_sums(sums, compute(batch, batch.calls, scalar(), 1, gguf)));
}

TEST(LocalExecutor, ComputesWholeBatches) {
  FixtureLayer layer = test::compute_layers()[4];
  ExpertFixture fixture({layer}, 81);
  ComputeCase batch = make_case(layer, 5, 2, 82);
  auto source = ResidentSource::load(fixture.cutter(), {});
  ASSERT_TRUE(source);
  ThreadPool pool(2);
  ExpertCompute expert_compute(scalar(), pool);
  LocalExecutor executor(fixture.cutter(), **source, expert_compute);
  std::vector<uint32_t> experts;
  std::vector<float> weights;
  for (const ExpertCall& call : batch.calls) {
    experts.push_back(call.expert);
    weights.push_back(call.weight);
  }
  ExpertSums sums;  // sized by the executor
  ExpertExecutor::Ticket ticket = executor.submit(
      {layer.layer, 2, batch.input.view(), batch.fraction_bits, experts, weights}, &sums);
  std::optional<Status> outcome = executor.take_completed(ticket);
  ASSERT_TRUE(outcome);  // at once
  ASSERT_TRUE(*outcome);
  EXPECT_TRUE(same_sums(sums, compute(batch, batch.calls, scalar(), 1, **source)));
}

TEST(LocalExecutor, EachTicketHasItsOwnOutcome) {
  FixtureLayer layer = test::compute_layers()[4];
  ExpertFixture fixture({layer}, 91);
  ComputeCase batch = make_case(layer, 1, 1, 92);
  GgufSource gguf(fixture.cutter(), 1 * kGiB);
  FailingSource source(gguf, 8);  // enough for one batch
  ThreadPool pool(1);
  ExpertCompute expert_compute(scalar(), pool);
  LocalExecutor executor(fixture.cutter(), source, expert_compute);
  uint32_t expert = 1;
  float weight = 0.5F;
  ExpertBatch asked{layer.layer,  1,           batch.input.view(), batch.fraction_bits,
                    {&expert, 1}, {&weight, 1}};
  ExpertSums first;
  ExpertSums second;
  auto good = executor.submit(asked, &first);
  auto bad = executor.submit(asked, &second);
  EXPECT_NE(good, bad);
  EXPECT_FALSE(*executor.take_completed(bad));
  EXPECT_TRUE(*executor.take_completed(good));
}

}  // namespace
}  // namespace potluck
