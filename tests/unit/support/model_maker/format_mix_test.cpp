#include "tests/support/model_maker/format_mix.h"

#include <gtest/gtest.h>

namespace potluck::test {
namespace {

std::string chosen(const FormatMix& mix, const QuantizationMix::Matrix& matrix) {
  auto format = mix.choose(matrix);
  return format ? std::string((*format)->name) : format.error().message;
}

FormatMix mix_of(const std::string& format, const std::vector<std::string>& exceptions = {}) {
  auto mix = FormatMix::parse(format, exceptions);
  CHECK(mix.ok());
  return *mix;
}

TEST(FormatMix, OneFormatIsForAll) {
  FormatMix mix = mix_of("Q4_K");
  EXPECT_EQ(chosen(mix, {"output.weight", 256}), "Q4_K");
  EXPECT_EQ(chosen(mix, {"blk.0.attn_v.weight", 256}), "Q4_K");
}

TEST(FormatMix, TheLastExceptionThatMatchesWins) {
  FormatMix mix = mix_of("Q4_0", {"blk.*.ffn_*=Q8_0", "blk.1.*=F16"});
  EXPECT_EQ(chosen(mix, {"blk.0.ffn_up.weight", 64}), "Q8_0");
  EXPECT_EQ(chosen(mix, {"blk.1.ffn_up.weight", 64}), "F16");
  EXPECT_EQ(chosen(mix, {"blk.11.ffn_up.weight", 64}), "Q8_0");
  EXPECT_EQ(chosen(mix, {"output.weight", 64}), "Q4_0");
}

TEST(FormatMix, PatternsMatchWholeNames) {
  EXPECT_TRUE(matches_pattern("a*c", "abc"));
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("*b*", "abc"));
  EXPECT_FALSE(matches_pattern("a*c", "abcd"));
  EXPECT_FALSE(matches_pattern("abc", "abcd"));
  EXPECT_FALSE(matches_pattern("aa*aa", "aaa"));
}

// The layers that llama.cpp's quantizer gives more bits, of 16: the first and last eighth, and
// every third between.
TEST(FormatMix, MediumMixesGiveSomeLayersMoreBits) {
  FormatMix mix = mix_of("Q4_K_M");
  std::string layers;
  for (uint32_t layer = 0; layer < 16; ++layer) {
    QuantizationMix::Matrix down{"blk.0.ffn_down_exps.weight", 256, layer, 16, 32, true};
    QuantizationMix::Matrix value{"blk.0.attn_v.weight", 256, layer, 16, 32};
    EXPECT_EQ(chosen(mix, down), chosen(mix, value));
    layers += chosen(mix, down) == "Q6_K" ? '6' : '4';
  }
  EXPECT_EQ(layers, "6644644644644666");
  EXPECT_EQ(chosen(mix, {"output.weight", 256, 0, 16, 32}), "Q6_K");
  EXPECT_EQ(chosen(mix, {"token_embd.weight", 256, 0, 16, 32}), "Q4_K");
  EXPECT_EQ(chosen(mix, {"blk.5.attn_k.weight", 256, 5, 16, 8}), "Q8_0");
  EXPECT_EQ(chosen(mix_of("Q5_K_M"), {"blk.5.attn_k.weight", 256, 5, 16, 32}), "Q5_K");
}

TEST(FormatMix, MixesReplaceFormatsThatDoNotFit) {
  FormatMix mix = mix_of("Q4_K_M");
  EXPECT_EQ(chosen(mix, {"blk.5.attn_q.weight", 96, 5, 16, 32}), "Q5_0");
  EXPECT_EQ(chosen(mix, {"output.weight", 96, 0, 16, 32}), "Q8_0");
  EXPECT_EQ(chosen(mix, {"output.weight", 24, 0, 16, 32}), "F16");
}

TEST(FormatMix, Mxfp4IsForExperts) {
  FormatMix mix = mix_of("MXFP4_MOE");
  EXPECT_EQ(chosen(mix, {"blk.0.ffn_up_exps.weight", 64, 0, 4, 8, true}), "MXFP4");
  EXPECT_EQ(chosen(mix, {"blk.0.attn_q.weight", 64, 0, 4, 8}), "Q8_0");
}

TEST(FormatMix, ErrorsNameWhatIsWrong) {
  EXPECT_EQ(chosen(mix_of("Q4_K"), {"blk.0.attn_q.weight", 96}),
            "blk.0.attn_q.weight: rows of 96 values cannot be stored as Q4_K, whose blocks have "
            "256; choose another shape, or another format for it by --tensor-format");
  auto unknown = FormatMix::parse("Q4_L", {});
  ASSERT_FALSE(unknown.ok());
  EXPECT_TRUE(unknown.error().message.starts_with("--format: format 'Q4_L' is not known"));
  auto exception = FormatMix::parse("Q4_0", {"output.weight=Q4_L"});
  ASSERT_FALSE(exception.ok());
  EXPECT_TRUE(exception.error().message.starts_with("--tensor-format: format 'Q4_L' is not known"));
  EXPECT_FALSE(FormatMix::parse("Q4_0", {"output.weight"}).ok());
}

}  // namespace
}  // namespace potluck::test
