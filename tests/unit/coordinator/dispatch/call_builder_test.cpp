// The message that one worker gets.
#include "coordinator/dispatch/call_builder.h"

#include <cstring>

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"
#include "tests/unit/coordinator/dispatch/sample_work.h"

namespace potluck {
namespace {

using test::compute_of;
using test::NumberedBatch;
using test::peer;

TEST(CallBuilder, AMessageHasTheRowsOfItsCallsOnly) {
  Manifest manifest = test::sample_manifest(1, 8);
  NumberedBatch work(manifest, 0, 5, 2);
  RowCalls calls = {{1, 6, 0, 0.5F}, {1, 6, 1, 0.5F}, {4, 3, 1, 0.25F}};
  CallTerms terms{{23, 9, 0, 2}, peer(3), 2};
  OutgoingMessage message = build_call(terms, work.batch(), calls, 2, {});
  EXPECT_EQ(message.peer, peer(3));
  EXPECT_EQ(message.channel, Channel::kCompute);
  Compute expected;
  expected.work = terms.work;
  expected.slices = 2;
  expected.columns = 64;
  expected.rows = {{11, {{6, 0, 0.5F}, {6, 1, 0.5F}}}, {14, {{3, 1, 0.25F}}}};
  EXPECT_EQ(compute_of(message), expected);
  size_t row_bytes = 64 * sizeof(float);
  ASSERT_EQ(message.tensor.size(), 2 * row_bytes);
  const float* values = work.batch().input.values;
  EXPECT_EQ(std::memcmp(message.tensor.data(), values + 64, row_bytes), 0);
  EXPECT_EQ(std::memcmp(message.tensor.data() + row_bytes, values + 4 * 64, row_bytes), 0);
}

TEST(CallBuilder, OfThePrefetchAMessageCarriesItsWorkersPart) {
  Manifest manifest = test::sample_manifest(1, 8);
  NumberedBatch work(manifest, 0, 1, 1);
  RowCalls calls = {{0, 1, 0, 1}};
  std::vector<PrefetchUnit> prefetch = {
      {peer(1), {1, 7, 0}}, {peer(2), {1, 3, 0}}, {peer(1), {1, 2, 0}}};
  OutgoingMessage message = build_call({{}, peer(1), 1}, work.batch(), calls, 1, prefetch);
  EXPECT_EQ(compute_of(message).prefetch, (std::vector<UnitId>{{1, 7, 0}, {1, 2, 0}}));
}

}  // namespace
}  // namespace potluck
