// Tool calls in answers. Models write a call as text between two marks, in the syntax in which
// their template writes earlier calls back. ToolCallSplitter takes the calls out of the stream of
// an answer. Pure values and functions; one splitter per answer, one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chat/chat_message.h"

namespace potluck {

// A JSON object between two marks: <tool_call>{"name": .., "arguments": {..}}</tool_call>.
struct ToolCallSyntax {
  std::string open;  // neither mark is empty or has white space at its ends
  std::string close;
  std::string name_key;
  std::string arguments_key;

  bool operator==(const ToolCallSyntax&) const = default;
};

// The conversations whose difference shows the syntax: the same question, answered by a call and by
// a text.
Conversation tool_call_probe();
Conversation tool_call_counterprobe();
// The syntax, from both as a template writes them. Nothing where calls are not JSON objects between
// marks, or where the template knows no calls.
std::optional<ToolCallSyntax> find_tool_call_syntax(std::string_view probe,
                                                    std::string_view counterprobe);

struct SplitCalls {
  std::string content;
  std::vector<ToolCall> calls;  // without ids
};

class ToolCallSplitter {
 public:
  // Without a syntax everything is content.
  explicit ToolCallSplitter(std::optional<ToolCallSyntax> syntax) : syntax_(std::move(syntax)) {}

  // What is now certain. What stands between the marks and is no call stays content, marks
  // included: nothing that the model wrote is lost. White space around calls belongs to neither.
  SplitCalls push(std::string_view text);
  SplitCalls finish();

 private:
  bool advance(SplitCalls* split);
  std::optional<ToolCall> parse_call(std::string_view body) const;
  void emit(std::string_view text, SplitCalls* split);

  std::optional<ToolCallSyntax> syntax_;
  bool in_call_ = false;
  bool skips_space_ = false;  // behind a call
  std::string space_before_;  // the call that is pending
  std::string pending_;       // not certain yet; from the opening mark on while in a call
};

}  // namespace potluck
