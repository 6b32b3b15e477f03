// What the scripted service says to clients in the end-to-end tests: it does what the last message
// of a conversation, or the prompt, asks for. One object per service.
//
// - "fail now": fails before it begins
// - "fail later": fails after three words
// - "too long": does not fit
// - "overload": refuses every other time
// - "weather": calls the first tool, if there is one
// - "weather" and "both": calls it twice
// - "use the shell": calls the tool with which a coding agent runs commands
// - "think": reasons before it answers
// - "forever": does not stop
// - "forever" and "flood": says much at a time
//
// Everything else is repeated, word by word.
#pragma once

#include <atomic>
#include <vector>

#include "coordinator/serving/completion.h"

namespace potluck::test {

class ScriptedAnswers {
 public:
  std::vector<CompletionEvent> operator()(const CompletionRequest& request);

 private:
  uint32_t overloads_ = 0;
  uint32_t calls_ = 0;
};

}  // namespace potluck::test
