// Reasoning in answers: models that think first write it between two marks, such as <think> and
// </think>. ReasoningSplitter takes it out of the stream of an answer. One object per answer, one
// thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace potluck {

struct ReasoningMarks {
  std::string_view open;
  std::string_view close;
};

// The marks that a template writes or looks for; nothing for templates of models that do not think.
std::optional<ReasoningMarks> find_reasoning_marks(std::string_view template_source);

struct SplitReasoning {
  std::string reasoning;
  std::string content;
};

class ReasoningSplitter {
 public:
  // Without marks everything is content. `prompt` decides where the answer begins: prompts that end
  // with the opening mark leave only the rest of the reasoning to the model.
  ReasoningSplitter(std::optional<ReasoningMarks> marks, std::string_view prompt);

  // What is now certain. White space around the marks belongs to neither part.
  SplitReasoning push(std::string_view text);
  SplitReasoning finish();

 private:
  enum class State { kStart, kReasoning, kContent };

  bool advance(SplitReasoning* piece);
  void emit(std::string* into, size_t bytes);

  std::optional<ReasoningMarks> marks_;
  State state_ = State::kStart;
  bool skips_space_ = false;  // at the beginning of a part
  std::string pending_;       // not certain yet
};

}  // namespace potluck
