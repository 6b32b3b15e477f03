// Reasoning taken out of answers, however the text is cut.
#include "engine/chat/reasoning.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

constexpr ReasoningMarks kThinkMarks{"<think>", "</think>"};

// "reasoning|content", the text pushed in pieces of `size` bytes.
std::string split_reasoning(std::optional<ReasoningMarks> marks, std::string_view prompt,
                            std::string_view text, size_t size) {
  ReasoningSplitter splitter(marks, prompt);
  SplitReasoning all;
  for (size_t at = 0; at <= text.size(); at += size) {
    const SplitReasoning piece =
        at < text.size() ? splitter.push(text.substr(at, size)) : splitter.finish();
    all.reasoning += piece.reasoning;
    all.content += piece.content;
  }
  const SplitReasoning rest = splitter.finish();
  return all.reasoning + rest.reasoning + "|" + all.content + rest.content;
}

TEST(ReasoningSplitter, EveryCutGivesTheSame) {
  struct Case {
    const char* prompt;
    const char* text;
    const char* expected;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"assistant\n", "<think>\na b\n</think>\n\nYes", "a b|Yes"},
           {"assistant\n", "\n <think>a</think>b", "a|b"},
           {"assistant\n", "Yes <think>no</think>", "|Yes <think>no</think>"},
           {"assistant\n", "<thin ice>", "|<thin ice>"},
           {"assistant\n", "  Yes", "|  Yes"},
           {"assistant\n", "", "|"},
           {"assistant\n<think>\n", "a <b </thin\n\n</think>\n\nYes\n", "a <b </thin|Yes\n"},
           {"assistant\n<think>", "never ends ", "never ends |"},
           {"assistant\n<think>\n", "</think>x", "|x"},
           {"<think>\n\n</think>\n\n", "Yes", "|Yes"},
           {"", "<think></think>", "|"},
           {"", "<think>a</think>b</think>c", "a|b</think>c"},
       }) {
    for (size_t size = 1; size <= 9; ++size) {
      EXPECT_EQ(split_reasoning(kThinkMarks, c.prompt, c.text, size), c.expected)
          << c.text << " by " << size;
    }
  }
  EXPECT_EQ(split_reasoning(std::nullopt, "<think>", "<think>a</think>", 3), "|<think>a</think>");
}

TEST(ReasoningSplitter, GivesWhatIsCertainAtOnce) {
  ReasoningSplitter splitter(kThinkMarks, "");
  EXPECT_EQ(splitter.push("<think>ab").reasoning, "ab");
  EXPECT_EQ(splitter.push(" c").reasoning, " c");
  EXPECT_EQ(splitter.push("\n</th").reasoning, "");
  EXPECT_EQ(splitter.push("e").reasoning, "\n</the");
  EXPECT_EQ(splitter.push("</think> ").content, "");
  EXPECT_EQ(splitter.push("x ").content, "x ");
}

TEST(Reasoning, MarksOfATemplate) {
  EXPECT_FALSE(find_reasoning_marks("{{ messages }}"));
  EXPECT_EQ(find_reasoning_marks("x.split('</think>')")->open, "<think>");
  EXPECT_EQ(find_reasoning_marks("[/THINK]")->open, "[THINK]");
}

}  // namespace
}  // namespace potluck
