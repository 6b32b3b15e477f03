#include "worker/answering.h"

#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "tests/unit/worker/session_bench.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;

class AnsweringTest : public SessionBench {
 protected:
  AnsweringTest() { answering.set_cache(8 * kMiB); }

  // A unit that is ready.
  void hold(UnitId unit) {
    ASSERT_TRUE(delivery.assign(assignment(1, {unit}), manifest));
    delivery.open_next();
    for (GrainId grain : grains_of(unit)) {
      ASSERT_TRUE(delivery.keep(manifest.digest_of(grain), model.grain(grain)).ok());
    }
  }
  // One row through one unit.
  Compute request(UnitId unit) {
    Compute request;
    request.work = {kEpoch, next_request++, unit.layer, 0};
    request.form = batch.input.form();
    request.columns = batch.input.columns();
    request.rows = {{20, {{unit.expert, unit.slice, 1.0f}}}};
    return request;
  }
  void ask(const Compute& request) {
    std::vector<uint32_t> rows = {0};
    answering.on_compute(request, pack_activations(batch.input.view(), rows));
  }
  // Computes what is next to its end and returns the answer.
  Partial answer(bool current = true) {
    if (answering.next() != nullptr) answering.begin(current, &manifest, delivery.units());
    while (answering.computing()) answering.compute(milliseconds(100), manifest, delivery);
    EXPECT_TRUE(answering.done());
    answering.answer();
    std::vector<Partial> answers = sent<Partial>();
    EXPECT_EQ(answers.size(), 1u);
    return answers.empty() ? Partial{} : answers.front();
  }

  SampleBatch batch = model.batch(SampleModel::kBlocks, 1, 1, 3);
  uint64_t next_request = 1;
  ThreadPool threads{1};
  UnitCompute compute{*available_kernels().front(), threads, clock};
  WorkerOptions options;
  Answering answering{compute, *store, options, link};
};

TEST_F(AnsweringTest, AnswersInOrder) {
  hold(kSecond);
  ask(request(kSecond));
  ask(request(kSecond));
  EXPECT_TRUE(answering.has_work());
  for (uint64_t number : {1, 2}) {
    ASSERT_NE(answering.next(), nullptr);
    EXPECT_EQ(answering.next()->work.request, number);
    Partial partial = answer();
    EXPECT_EQ(partial.status, PartialStatus::kOk) << partial.text;
    EXPECT_EQ(partial.work.request, number);
  }
  EXPECT_FALSE(answering.has_work());
  EXPECT_EQ(answering.next(), nullptr);
  MembershipStatus status;
  answering.describe(&status);
  EXPECT_EQ(status.rows_computed, 2u);
  EXPECT_EQ(status.units_computed, 2u);
  EXPECT_EQ(status.requests_answered, 2u);
  EXPECT_EQ(status.requests_refused, 0u);
  EXPECT_EQ(status.requests_waiting, 0u);
  // The same grains twice: read once, found in memory once.
  EXPECT_GT(status.work.cache_misses, 0u);
  EXPECT_EQ(status.work.cache_hits, status.work.cache_misses);
}

TEST_F(AnsweringTest, CountsWhatWaitsAndWhatIsRefused) {
  ask(request(kSecond));
  ask(request(kSecond));
  MembershipStatus status;
  answering.describe(&status);
  EXPECT_EQ(status.requests_waiting, 2u);
  answer();
  answering.describe(&status);
  EXPECT_EQ(status.requests_waiting, 1u);
  EXPECT_EQ(status.requests_refused, 1u);
  EXPECT_EQ(status.requests_answered, 0u);
}

TEST_F(AnsweringTest, WhatCannotBeComputedIsAnsweredWithTheReason) {
  ask(request(kSecond));
  Partial nothing = answer();
  EXPECT_EQ(nothing.status, PartialStatus::kMissing);
  EXPECT_EQ(nothing.lost, std::vector{kSecond});
  hold(kSecond);
  ask(request(kSecond));
  EXPECT_EQ(answer(false).status, PartialStatus::kStale);
  Compute wrong = request(kSecond);
  ++wrong.columns;
  ask(wrong);
  EXPECT_EQ(answer().status, PartialStatus::kBadRequest);
  UnitId other{SampleModel::kBlocks, 3, 0};
  ask(request(other));
  Partial missing = answer();
  EXPECT_EQ(missing.status, PartialStatus::kMissing);
  EXPECT_EQ(missing.lost, std::vector{other});
}

TEST_F(AnsweringTest, DroppedWorkIsNeitherComputedNorAnswered) {
  hold(kSecond);
  ask(request(kSecond));
  ask(request(kSecond));
  answering.begin(true, &manifest, delivery.units());
  ASSERT_TRUE(answering.computing());
  answering.drop_work();
  EXPECT_FALSE(answering.has_work());
  EXPECT_FALSE(answering.computing());
  ask(request(kSecond));
  EXPECT_EQ(answer().work.request, 3u);
}

TEST_F(AnsweringTest, ANewShareEmptiesTheCache) {
  hold(kSecond);
  ask(request(kSecond));
  answer();
  uint64_t resident = answering.resident_bytes();
  EXPECT_GT(resident, 0u);
  answering.set_cache(8 * kMiB);
  EXPECT_EQ(answering.resident_bytes(), resident);
  answering.set_cache(4 * kMiB);
  EXPECT_EQ(answering.resident_bytes(), 0u);
}

// Computed with, a grain turned out to be gone: the unit is missing from then on.
TEST_F(AnsweringTest, AnAlteredGrainIsDistrusted) {
  hold(kSecond);
  store->remove(manifest.digest_of(grains_of(kSecond).front()));
  ask(request(kSecond));
  Partial partial = answer();
  EXPECT_EQ(partial.status, PartialStatus::kMissing);
  EXPECT_EQ(partial.lost, std::vector{kSecond});
  EXPECT_FALSE(delivery.units().ready(kSecond));
  EXPECT_NE(notices().find("fetching it again"), std::string::npos);
}

}  // namespace
}  // namespace potluck::test
