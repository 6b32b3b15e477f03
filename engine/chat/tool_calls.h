// Tool calls in answers. Models write a call in the syntax in which their template writes earlier
// calls back. ToolCallSplitter takes the calls out of the stream of an answer. One splitter per
// answer, one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/chat/call_reader.h"

namespace potluck {

class ToolCallSplitter {
 public:
  // Without a syntax everything is content. The types are those of the tools that were offered.
  explicit ToolCallSplitter(std::optional<ToolCallSyntax> syntax, ArgumentTypes types = {});

  // What is now certain. What begins like a call and is none stays content, marks included; what is
  // one keeps its arguments as they are, broken or not: nothing that the model wrote is lost. White
  // space around calls belongs to neither.
  SplitCalls push(std::string_view text);
  SplitCalls finish();

 private:
  enum class State { kText, kCall, kBetween };
  struct Trigger {
    enum class Kind { kBegin, kFirst, kEnd };
    Kind kind = Kind::kFirst;
    CallMark::Found found;
  };

  bool advance(SplitCalls* split);
  bool find_call(SplitCalls* split);
  bool read_call(SplitCalls* split);
  bool look_between();
  bool call_begins(std::string_view text, bool* may_be) const;
  Trigger first_trigger() const;
  void begin_call(bool begun);
  void emit(std::string_view text, SplitCalls* split);
  void emit_up_to(size_t end, SplitCalls* split);

  std::shared_ptr<const CallMarks> marks_;  // null: no calls
  std::shared_ptr<const ArgumentTypes> types_;
  State state_ = State::kText;
  std::unique_ptr<CallReader> reader_;  // in kCall
  bool all_ = false;                    // no more text follows
  bool is_fresh_ = true;                // nothing but white space so far
  bool in_section_ = false;             // the mark behind all calls is still to come
  bool lacks_close_ = false;            // or that behind the last one
  bool skips_space_ = false;            // behind a call
  std::string space_before_;            // the call that is pending
  std::string pending_;                 // not certain yet
};

}  // namespace potluck
