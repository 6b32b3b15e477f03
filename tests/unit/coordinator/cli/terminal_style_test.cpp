// What a terminal can show, and lines that never say more than that.
#include "coordinator/cli/terminal_style.h"

#include <gtest/gtest.h>

#include "coordinator/cli/styled_line.h"

namespace potluck {
namespace {

TEST(TerminalStyle, ColorsNeedATerminalThatCanDrawAndNoWordAgainstThem) {
  const TerminalVariables usual{"xterm-256color", "", "", "", "en_US.UTF-8"};
  EXPECT_TRUE(terminal_style(usual, true).colors);
  EXPECT_TRUE(terminal_style(usual, true).draws);
  EXPECT_FALSE(terminal_style(usual, false).colors);
  EXPECT_FALSE(terminal_style(usual, false).draws);
  TerminalVariables plain = usual;
  plain.no_color = "1";
  EXPECT_FALSE(terminal_style(plain, true).colors);
  EXPECT_TRUE(terminal_style(plain, true).draws);
  for (const char* term : {"dumb", ""}) {
    TerminalVariables simple = usual;
    simple.term = term;
    EXPECT_FALSE(terminal_style(simple, true).colors);
    EXPECT_FALSE(terminal_style(simple, true).draws);
  }
}

TEST(TerminalStyle, TheFirstLocaleThatIsSetCounts) {
  EXPECT_TRUE(terminal_style({"xterm", "", "", "", "de_DE.utf8"}, true).utf8);
  EXPECT_FALSE(terminal_style({"xterm", "", "C", "", "de_DE.UTF-8"}, true).utf8);
  EXPECT_TRUE(terminal_style({"xterm", "", "", "C.UTF-8", "C"}, true).utf8);
  EXPECT_FALSE(terminal_style({"xterm", "", "", "", ""}, true).utf8);
}

const TerminalStyle kColored{true, true, true};
const TerminalStyle kAscii{true, false, false};

TEST(StyledLine, IsNeverWiderThanItMayBe) {
  StyledLine line(10, kColored);
  line.add("12345", Ink::kBold).add("67890abc").add("more");
  EXPECT_EQ(line.room(), 0U);
  EXPECT_EQ(line.take(), "\x1b[1m12345\x1b[0m67890");
  // Wide characters take two columns, and are not cut in halves.
  EXPECT_EQ(StyledLine(5, kColored).add("日本語").take(), "日本");
  EXPECT_EQ(display_width("日本"), 4U);
  EXPECT_EQ(display_width("e\u0301"), 1U);
}

TEST(StyledLine, ColumnsAreFilledOrCut) {
  StyledLine line(40, kColored);
  line.add_column("ab", 4).add("|").add_column("ab", 4, Align::kRight).add("|");
  line.add_column("abcdef", 4).add("|").add_column("日本", 4).add("|");
  EXPECT_EQ(line.take(), "ab  |  ab|abc…|日本|");
  EXPECT_EQ(StyledLine(9, kAscii).add_column("abcdef", 4).add("|").take(), "abc~|");
  EXPECT_EQ(StyledLine(9, kColored).add_column("abc", 0).take(), "");
}

// Names come from other devices.
TEST(StyledLine, NothingFromOutsideReachesTheTerminalAsACommand) {
  for (const TerminalStyle& style : {kColored, kAscii, TerminalStyle{}}) {
    StyledLine line(200, style);
    line.add("a\x1b]0;title\x07z\n\xc2\x9b").add_column("\x1b[2J\xff", 12);
    line.add_device("\x1b[31m", 3, true).add_own("\r", false);
    const std::string text = line.take();
    EXPECT_EQ(text.find('\a'), std::string::npos);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_EQ(text.find('\r'), std::string::npos);
    EXPECT_EQ(text.find("\x1b]"), std::string::npos);
    EXPECT_EQ(text.find("\x1b[2J"), std::string::npos);
    EXPECT_EQ(text.find("\x1b[31m"), std::string::npos);
    EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
    if (!style.colors) {
      EXPECT_EQ(text.find('\x1b'), std::string::npos);
    }
  }
}

TEST(StyledLine, ALocaleOfAsciiGetsAscii) {
  EXPECT_EQ(StyledLine(20, kAscii).add("Küche 日").take(), "K?che ?");
}

}  // namespace
}  // namespace potluck
