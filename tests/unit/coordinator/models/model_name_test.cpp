#include "coordinator/models/model_name.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(HubNames, AreRepositoriesWithAChoice) {
  const auto plain = parse_hub_name("Qwen/Qwen3-30B-A3B-GGUF");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->repo, "Qwen/Qwen3-30B-A3B-GGUF");
  EXPECT_EQ(plain->choice, "");
  const auto chosen = parse_hub_name("hf.co/u/r:Q4_K_M");
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->repo, "u/r");
  EXPECT_EQ(chosen->choice, "Q4_K_M");
  EXPECT_EQ(chosen->text(), "u/r:Q4_K_M");
  const auto file = parse_hub_name("u/r/Q8_0/m-00001-of-00002.gguf");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->choice, "Q8_0/m-00001-of-00002.gguf");
}

TEST(HubNames, AreNothingThatCouldLeadElsewhere) {
  for (const char* text : {"",
                           "u",
                           "/r",
                           "u/",
                           "../r",
                           "u/..",
                           "u/a..b",
                           "u/r:",
                           "u/r:../x",
                           "u/r:/etc/passwd",
                           "u/r/../x.gguf",
                           "u/r/s",
                           "./u/r",
                           "u/.hidden",
                           "-u/r",
                           "u/-r",
                           "u r/x",
                           "u/r:a\nb",
                           "u/r/x.gguf:Q4",
                           "u/\xff",
                           "~/models/x"}) {
    EXPECT_FALSE(parse_hub_name(text)) << text;
  }
  EXPECT_FALSE(parse_hub_name("u/" + std::string(97, 'r')));
}

TEST(OllamaNames, HaveATagAndAUser) {
  const auto plain = parse_ollama_name("gpt-oss");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->space + "/" + plain->name + ":" + plain->tag, "library/gpt-oss:latest");
  const auto full = parse_ollama_name("user/model:20b");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->space + "/" + full->name + ":" + full->tag, "user/model:20b");
  for (const char* text : {"", ":", "a:", "../a", "a/b/c", "a:..", "a:x/y", ".a"}) {
    EXPECT_FALSE(parse_ollama_name(text)) << text;
  }
}

TEST(PlainPaths, StayBelow) {
  EXPECT_TRUE(is_plain_path("a/b c/d.gguf"));
  for (const char* text : {"", "/a", "a/", "a//b", "../a", "a/../b", ".git/x", "a\\b", "a\x01"}) {
    EXPECT_FALSE(is_plain_path(text)) << text;
  }
  EXPECT_FALSE(is_plain_path("a/a/a/a/a/a/a/a/a"));
  EXPECT_FALSE(is_plain_path(std::string(256, 'a')));
}

TEST(Quantizations, AreReadFromNames) {
  EXPECT_EQ(quantization_in("x/Qwen3-30B-A3B-Q4_K_M.gguf"), "Q4_K_M");
  EXPECT_EQ(quantization_in("Qwen3-UD-Q4_K_XL.gguf"), "UD-Q4_K_XL");
  EXPECT_EQ(quantization_in("gpt-oss-120b-mxfp4-00001-of-00003.gguf"), "mxfp4");
  EXPECT_EQ(quantization_in("m.IQ2_XXS.gguf"), "IQ2_XXS");
  EXPECT_EQ(quantization_in("m-BF16-00001-of-00009.gguf"), "BF16");
  EXPECT_EQ(quantization_in("m-TQ1_0.gguf"), "TQ1_0");
  EXPECT_EQ(quantization_in("m-NVFP4.gguf"), "NVFP4");
  EXPECT_EQ(quantization_in("m-Q1_0.gguf"), "Q1_0");
  EXPECT_EQ(quantization_in("Qwen3-q8_0.gguf"), "q8_0");
  EXPECT_EQ(quantization_in("Qwen3-Quick.gguf"), "");
  EXPECT_EQ(quantization_in("model.gguf"), "");
  EXPECT_EQ(quantization_in(""), "");
  EXPECT_EQ(quantization_in("-of-00001.gguf"), "");
}

TEST(Quantizations, AreComparedWithoutCase) {
  EXPECT_TRUE(names_quantization("m-Q4_K_M.gguf", "q4_k_m"));
  EXPECT_TRUE(names_quantization("m-UD-Q4_K_XL.gguf", "Q4_K_XL"));
  EXPECT_FALSE(names_quantization("m-IQ4_K.gguf", "Q4_K"));
  EXPECT_FALSE(names_quantization("m-Q4_K_M.gguf", "Q4_K"));
  EXPECT_FALSE(names_quantization("m-Q4_K_M.gguf", ""));
}

}  // namespace
}  // namespace potluck
