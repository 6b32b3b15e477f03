// Stop strings, met wherever pieces are cut.
#include "coordinator/serving/stop_strings.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

struct Outcome {
  std::string text;
  std::string met;

  bool operator==(const Outcome&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << '"' << outcome.text << "\" until \"" << outcome.met << '"';
}

Outcome run(const std::vector<std::string>& strings, const std::vector<std::string>& pieces) {
  StopStrings stop(strings);
  Outcome outcome;
  for (const std::string& piece : pieces) {
    StopStrings::Passed passed = stop.push(piece);
    outcome.text += passed.text;
    if (!passed.met) continue;
    outcome.met = stop.string(*passed.met);
    return outcome;
  }
  outcome.text += stop.finish();
  return outcome;
}

// By definition: the string that is complete first, and of several the longest.
Outcome oracle(const std::vector<std::string>& strings, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string met;
    for (const std::string& string : strings) {
      bool ends = string.size() <= end && text.substr(end - string.size(), string.size()) == string;
      if (ends && string.size() > met.size()) met = string;
    }
    if (!met.empty()) return {text.substr(0, end - met.size()), met};
  }
  return {text, ""};
}

TEST(StopStrings, EndTheTextBeforeThem) {
  EXPECT_EQ(run({"END"}, {"one two END three"}), (Outcome{"one two ", "END"}));
  EXPECT_EQ(run({"END"}, {"one E", "N", "D"}), (Outcome{"one ", "END"}));
  EXPECT_EQ(run({"END"}, {"one E", "N", "E", "ND"}), (Outcome{"one EN", "END"}));
  EXPECT_EQ(run({"END"}, {"one EN"}), (Outcome{"one EN", ""}));
  EXPECT_EQ(run({"", "b"}, {"abc"}), (Outcome{"a", "b"}));
  EXPECT_EQ(run({}, {"abc"}), (Outcome{"abc", ""}));
  EXPECT_EQ(run({"bc", "abcd"}, {"abcd"}), (Outcome{"a", "bc"}));
  EXPECT_EQ(run({"bc", "abc"}, {"abcd"}), (Outcome{"", "abc"}));
}

TEST(StopStrings, HoldBackOnlyWhatMayBecomeOne) {
  StopStrings stop({"\n\n", "\nUser:"});
  EXPECT_EQ(stop.push("Hello\n").text, "Hello");
  EXPECT_EQ(stop.held_bytes(), 1u);
  EXPECT_EQ(stop.push("Us").text, "");
  EXPECT_EQ(stop.push("ual\n").text, "\nUsual");
  EXPECT_EQ(stop.push("\n").met, 0u);
}

TEST(StopStrings, DoNotDependOnWhereTextIsCut) {
  CounterRandom random(5);
  uint64_t draws = 0;
  auto draw = [&](uint64_t below) { return random.bits(++draws) % below; };
  auto word = [&](uint64_t most) {
    std::string text;
    for (uint64_t length = draw(most) + 1; length > 0; --length) text += "ab"[draw(2)];
    return text;
  };
  size_t met = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::vector<std::string> strings = {word(5) + "a", word(5) + "b", word(3) + "ab"};
    std::string text = word(20);
    std::vector<std::string> pieces;
    for (size_t begin = 0; begin < text.size();) {
      size_t length = 1 + draw(4);
      pieces.push_back(text.substr(begin, length));
      begin += length;
    }
    Outcome expected = oracle(strings, text);
    met += expected.met.empty() ? 0 : 1;
    ASSERT_EQ(run(strings, pieces), expected) << text;
  }
  EXPECT_GT(met, 1000u);
  EXPECT_LT(met, 2900u);
}

}  // namespace
}  // namespace potluck
