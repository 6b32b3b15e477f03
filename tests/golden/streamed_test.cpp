// Streamed experts give the bits of those that are all in memory.
#include "tests/golden/streamed.h"

#include <gtest/gtest.h>

#include "tests/golden/golden_support.h"

namespace potluck::test {
namespace {

class StreamedFixture : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Golden, StreamedFixture, ::testing::ValuesIn(kFixtures),
                         [](const auto& test) { return test_name(test.param); });

TEST_P(StreamedFixture, GivesTheBitsOfMemory) {
  const std::string folder = std::string("arch/") + GetParam();
  const std::string path = data_path(folder + "/model.gguf");
  auto prompt =
      load_json(data_path(folder + "/reference.json"))["prompt"].get<std::vector<TokenId>>();
  SoloEngine memory(path, {});
  if (memory.model().banks().empty()) GTEST_SKIP() << "a dense model";
  const GoldenRun expected = run_golden(memory, prompt, 8, 512);
  for (bool store : {false, true}) {
    SCOPED_TRACE(store ? "store" : "model file");
    SoloEngine streamed(path, streamed_options(store));
    EXPECT_EQ(run_golden(streamed, prompt, 8, 512), expected);
    EXPECT_EQ(run_golden(streamed, prompt, 8, 3), expected);
  }
}

}  // namespace
}  // namespace potluck::test
