#include "coordinator/cli/nearest_name.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(NearestName, FindsWhatWasMeant) {
  const std::vector<std::string> known = {"threads", "prefill-chunk", "ctx", "ram", "workers"};
  EXPECT_EQ(nearest_name("threds", known), "threads");
  EXPECT_EQ(nearest_name("prefill_chunk", known), "prefill-chunk");
  EXPECT_EQ(nearest_name("Threads", known), "threads");
  EXPECT_EQ(nearest_name("wrokers", known), "workers");
  EXPECT_EQ(nearest_name("rma", known), "ram");
  EXPECT_EQ(nearest_name("rag", known), "ram");
  EXPECT_EQ(nearest_name("bag", known), "");  // two edits in three letters: anything
  EXPECT_EQ(nearest_name("temperature", known), "");
  EXPECT_EQ(nearest_name("", known), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 't'), known), "");
  EXPECT_EQ(suggestion("threds", known), ", did you mean 'threads'?");
  EXPECT_EQ(suggestion("x", known), "");
}

}  // namespace
}  // namespace potluck
