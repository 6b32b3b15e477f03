#include "engine/tokenizer/byte_alphabet.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

TEST(ByteAlphabet, KnownLetters) {
  EXPECT_EQ(decode_byte_alphabet(""), "");
  EXPECT_EQ(decode_byte_alphabet("the!"), "the!");
  EXPECT_EQ(decode_byte_alphabet("\xC4\xA0the"), " the");           // U+0120
  EXPECT_EQ(decode_byte_alphabet("\xC4\x8A"), "\n");                // U+010A
  EXPECT_EQ(decode_byte_alphabet("\xC4\x89"), "\t");                // U+0109
  EXPECT_EQ(decode_byte_alphabet("\xC5\x83"), "\xAD");              // U+0143, the last letter
  EXPECT_EQ(decode_byte_alphabet("\xC3\x83\xC2\xA9"), "\xC3\xA9");  // "Ã©" writes é
}

TEST(ByteAlphabet, EveryByteOnceAndNothingElse) {
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(decode_byte_alphabet(alphabet_of(static_cast<uint8_t>(byte))),
              std::string(1, static_cast<char>(byte)));
  }
  int letters = 0;
  for (uint32_t code_point = 0; code_point < 0x3000; ++code_point) {
    letters += decode_byte_alphabet(utf8_of(code_point)).has_value() ? 1 : 0;
  }
  EXPECT_EQ(letters, 256);
}

TEST(ByteAlphabet, RefusesWhatIsNoLetter) {
  for (const std::string text : {" ", "a b", "\n", "\xC2", "\xC4\x20", "\xC5\x84", "\xE2\x96\x81",
                                 "\xC2\xAD", "\xFF", "\x7F"}) {
    EXPECT_EQ(decode_byte_alphabet(text), std::nullopt);
  }
}

}  // namespace
}  // namespace potluck
