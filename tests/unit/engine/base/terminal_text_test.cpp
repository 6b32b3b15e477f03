#include "engine/base/terminal_text.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

std::string in_pieces(std::string_view text, size_t bytes) {
  TerminalText filter;
  std::string out;
  for (size_t at = 0; at < text.size(); at += bytes) out += filter.push(text.substr(at, bytes));
  return out + filter.finish();
}

TEST(TerminalText, OrdinaryTextStaysAsItIs) {
  for (const char* text :
       {"", "a", "Gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac \xf0\x9f\x8d\xb2", "back\\slash",
        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x8c\xbe"}) {
    EXPECT_EQ(terminal_line(text), text);
    EXPECT_EQ(in_pieces(text, 1), text);
  }
}

TEST(TerminalText, WhatATerminalObeysIsShown) {
  EXPECT_EQ(terminal_line("\x1b[31mred\x1b[0m"), "\\x1b[31mred\\x1b[0m");
  EXPECT_EQ(terminal_line("\x1b]0;title\x07"), "\\x1b]0;title\\x07");
  EXPECT_EQ(terminal_line(std::string("\0\b\x7f", 3)), "\\x00\\x08\\x7f");
  EXPECT_EQ(terminal_line("\xc2\x9b"
                          "2J"),
            "\\u009b2J");  // one character that begins a command
  EXPECT_EQ(terminal_line("exe.\xe2\x80\xaegpj"), "exe.\\u202egpj");
  EXPECT_EQ(terminal_line("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(terminal_line("one\npotluck: all is well\t\r"),
            "one\\x0apotluck: all is well\\x09\\x0d");
}

TEST(TerminalText, TextOfSeveralLinesKeepsThem) {
  EXPECT_EQ(in_pieces("a\tb\nc", 1), "a\tb\nc");
  EXPECT_EQ(in_pieces("a\r\nb\r\n", 1), "a\nb\n");
  EXPECT_EQ(in_pieces("all is well\rerror", 3), "all is well\\x0derror");
  EXPECT_EQ(in_pieces("ends\r", 2), "ends\\x0d");
  EXPECT_EQ(in_pieces("cut \xf0\x9f\x8d", 2), "cut \\xf0\\x9f\\x8d");
}

// Any bytes at all, cut anywhere: what comes out is UTF-8 without anything that a terminal obeys,
// and the cuts do not show.
TEST(TerminalText, AnyBytesComeOutHarmless) {
  constexpr std::string_view kLikely[] = {"\x1b[",    "\r",   "\n", "\r\n", "\xc2",    "\x9b",
                                          "\xe2\x80", "\xae", "\t", "a",    "\xf0\x9f"};
  CounterRandom random(5);
  for (uint64_t round = 0; round < 2000; ++round) {
    std::string text;
    for (uint64_t i = 0; i < 24; ++i) {
      const uint64_t bits = random.bits(round * 32 + i);
      if (bits % 2 == 0) {
        text += kLikely[(bits >> 8) % std::size(kLikely)];
      } else {
        text += static_cast<char>(bits >> 8);
      }
    }
    const std::string whole = in_pieces(text, text.size());
    for (const std::string& shown : {terminal_line(text), whole}) {
      ASSERT_FALSE(find_invalid_utf8(shown).has_value());
      for (std::string_view rest = shown; !rest.empty(); rest.remove_prefix(utf8_length(rest[0]))) {
        const bool kept = rest[0] == '\n' || rest[0] == '\t';
        ASSERT_TRUE(kept || !is_terminal_control(decode_utf8(rest))) << round;
      }
    }
    ASSERT_EQ(terminal_line(text).find_first_of("\n\t"), std::string::npos);
    for (size_t bytes : {1, 2, 3, 7}) ASSERT_EQ(in_pieces(text, bytes), whole) << round;
  }
}

}  // namespace
}  // namespace potluck
