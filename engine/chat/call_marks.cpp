#include "engine/chat/call_marks.h"

#include <utility>

namespace potluck {

CallMarks::CallMarks(ToolCallSyntax made_of)
    : syntax(std::move(made_of)),
      begin(syntax.begin),
      separator(syntax.separator),
      end(syntax.end),
      key_open(syntax.key_open),
      value_open(syntax.value_open),
      json_open(syntax.json_open),
      value_close(syntax.value_close) {
  for (const CallPart& part : syntax.parts) parts.emplace_back(part.text);
  if (!parts.empty()) {
    first = parts.front();
    close = parts.back();
  }
  if (!close.empty()) stops.push_back(close);
  for (const CallMark* mark : {&end, &begin, &first}) {
    if (mark->is_strong()) stops.push_back(*mark);
  }
}

const CallMark& CallMarks::behind(size_t part) const {
  for (size_t i = part + 1; i < parts.size(); ++i) {
    if (!parts[i].empty()) return parts[i];
  }
  return none_;
}

}  // namespace potluck
