#include "coordinator/models/gguf_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace potluck {
namespace {

using testing::HasSubstr;

std::vector<GgufSet> sets_of(std::initializer_list<const char*> paths) {
  std::vector<ListedFile> files;
  for (const char* path : paths) files.push_back({path, 10, {}});
  return gguf_sets(std::move(files));
}

TEST(GgufSets, JoinTheirParts) {
  const auto sets =
      sets_of({"b-Q8_0-00002-of-00003.gguf", "a-Q4_K_M.gguf", "b-Q8_0-00001-of-00003.gguf",
               "b-Q8_0-00003-of-00003.gguf", "mmproj-F16.gguf", "b.imatrix.gguf", "README.md"});
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].path(), "a-Q4_K_M.gguf");
  EXPECT_EQ(sets[1].path(), "b-Q8_0-00001-of-00003.gguf");
  EXPECT_EQ(sets[1].files.size(), 3u);
  EXPECT_EQ(sets[1].bytes, 30u);
  EXPECT_EQ(sets[1].trouble(), "");
}

TEST(GgufSets, NameWhatIsMissing) {
  const auto sets = sets_of({"b-00001-of-00003.gguf", "b-00003-of-00003.gguf"});
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_EQ(sets[0].trouble(), "part 2 of 3 is missing");
}

TEST(GgufSets, TakeNoImpossiblePart) {
  EXPECT_EQ(
      sets_of({"b-00004-of-00003.gguf", "c-00000-of-00003.gguf", "d-00001-of-99999.gguf"}).size(),
      0u);
}

TEST(Choices, TakeTheOnlyOneOrTheUsualOne) {
  EXPECT_EQ(*choose_set(sets_of({"a-Q8_0.gguf"}), "", "r"), 0u);
  EXPECT_EQ(*choose_set(sets_of({"a-IQ1_S.gguf", "a-Q4_K_M.gguf", "a-Q8_0.gguf"}), "", "r"), 1u);
}

TEST(Choices, ListWhatThereIs) {
  const auto sets = sets_of({"a-Q5_K_M.gguf", "a-Q8_0.gguf"});
  const auto several = choose_set(sets, "", "user/repo");
  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(several.error().message, HasSubstr("user/repo"));
  EXPECT_THAT(several.error().message, HasSubstr("Q5_K_M"));
  const auto none = choose_set(sets, "Q2_K", "user/repo");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, HasSubstr("Q8_0"));
  EXPECT_FALSE(choose_set({}, "", "user/repo"));
}

TEST(Choices, AreQuantizationsOrFiles) {
  const auto sets = sets_of({"UD/a-UD-Q4_K_XL.gguf", "a-Q4_K_XL.gguf",
                             "b-Q4_K_M-00001-of-00002.gguf", "b-Q4_K_M-00002-of-00002.gguf"});
  ASSERT_EQ(sets.size(), 3u);
  EXPECT_EQ(*choose_set(sets, "q4_k_xl", "r"), 1u);
  EXPECT_EQ(*choose_set(sets, "UD-Q4_K_XL", "r"), 0u);
  EXPECT_EQ(*choose_set(sets, "UD/a-UD-Q4_K_XL.gguf", "r"), 0u);
  EXPECT_EQ(*choose_set(sets, "b-Q4_K_M-00002-of-00002.gguf", "r"), 2u);
  EXPECT_FALSE(choose_set(sets, "c.gguf", "r"));
}

TEST(Choices, HaveShortNamesWhereTheseAreClear) {
  const auto sets = sets_of({"a-Q8_0.gguf", "b-Q8_0.gguf", "b-Q4_0.gguf", "plain.gguf"});
  ASSERT_EQ(sets.size(), 4u);
  EXPECT_EQ(set_choice(sets, 0), "a-Q8_0.gguf");
  EXPECT_EQ(set_choice(sets, 1), "b-Q4_0.gguf" == sets[1].path() ? "Q4_0" : "b-Q8_0.gguf");
  EXPECT_EQ(set_choice(sets, 3), "plain.gguf");
}

}  // namespace
}  // namespace potluck
