// CallMarks: the marks of a ToolCallSyntax, ready to be looked for. Immutable; any thread.
#pragma once

#include <vector>

#include "engine/chat/call_mark.h"
#include "engine/chat/call_syntax.h"

namespace potluck {

struct CallMarks {
  explicit CallMarks(ToolCallSyntax made_of);

  // The first mark behind this part that is not empty; an empty one if there is none.
  const CallMark& behind(size_t part) const;
  bool begins_with_object() const {
    return !syntax.parts.empty() && syntax.parts.front().kind == CallPart::Kind::kObject;
  }
  // Calls that follow one another without a mark of their own, or have one around them all.
  bool has_section() const { return !begin.empty() || !end.empty() || begins_with_object(); }

  ToolCallSyntax syntax;
  CallMark begin;
  CallMark separator;
  CallMark end;
  std::vector<CallMark> parts;  // empty where a part is no mark
  CallMark first;               // the first part, or empty
  CallMark close;               // the last part, or empty
  CallMark key_open;
  CallMark value_open;
  CallMark json_open;
  CallMark value_close;
  // Where arguments that are no JSON end, as these do not stand in arguments.
  std::vector<CallMark> stops;

 private:
  CallMark none_;
};

}  // namespace potluck
