#include "engine/tokenizer/composer.h"

#include <nlohmann/json.hpp>
#include <string>

#include <gtest/gtest.h>

#include "engine/base/storage.h"
#include "tests/support/test_files.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

nlohmann::json load_cases(const char* name) {
  auto storage = make_system_storage();
  auto bytes = read_file(*storage, test::data_path("tokenizer/nfc.json"), 16 * kMiB);
  CHECK(bytes.ok());
  return nlohmann::json::parse(as_text(*bytes)).at(name);
}

void expect_all(const nlohmann::json& cases) {
  const Composer composer;
  for (const auto& one : cases) {
    const auto text = one.at(0).get<std::string>();
    const auto expected = one.at(1).get<std::string>();
    std::string buffer;
    EXPECT_EQ(composer.compose(text, &buffer), expected);
    EXPECT_EQ(composer.compose(expected, &buffer), expected) << "composing twice";
    // Neighbors that do not compose change nothing.
    EXPECT_EQ(composer.compose("x\n" + text + "\nx", &buffer), "x\n" + expected + "\nx");
  }
}

TEST(Composer, RandomText) {
  const auto cases = load_cases("random");
  ASSERT_EQ(cases.size(), 700u);
  expect_all(cases);
}

TEST(Composer, EveryDecomposableCharacter) {
  const auto cases = load_cases("characters");
  ASSERT_GT(cases.size(), 2000u);
  expect_all(cases);
}

TEST(Composer, EveryHangulSyllable) {
  const Composer composer;
  std::string parts, syllables, buffer;
  for (uint32_t lead = 0; lead < 19; ++lead) {
    for (uint32_t vowel = 0; vowel < 21; ++vowel) {
      for (uint32_t trail = 0; trail < 28; ++trail) {
        parts += utf8_of(0x1100 + lead) + utf8_of(0x1161 + vowel);
        if (trail != 0) parts += utf8_of(0x11A7 + trail);
        syllables += utf8_of(0xAC00 + (lead * 21 + vowel) * 28 + trail);
      }
    }
  }
  EXPECT_EQ(composer.compose(parts, &buffer), syllables);
  EXPECT_EQ(composer.compose(syllables, &buffer), syllables);
}

TEST(Composer, ComposedTextIsNotCopied) {
  const Composer composer;
  std::string buffer;
  for (const std::string text : {"plain", "na\xC3\xAFve", "\xE4\xBD\xA0\xE5\xA5\xBD", ""}) {
    EXPECT_EQ(composer.compose(text, &buffer).data(), text.data()) << text;
  }
}

}  // namespace
}  // namespace potluck
