// ToolCallSyntax: how models of a template write tool calls, as data: what stands around all the
// calls of an answer, and of what parts one consists. Reading answers (tool_calls.h) and drawing
// grammars (call_grammar.h) work from it. Plain values.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace potluck {

struct CallPart {
  enum class Kind {
    kMark,       // `text`, white space included as the template writes it
    kName,       // of the function
    kId,         // of the call; read, but not used
    kNumber,     // of the call in the conversation; likewise
    kObject,     // a JSON object with name and arguments as members
    kArguments,  // the arguments as JSON
    kTagged,     // the arguments one by one, each between marks
  };
  Kind kind = Kind::kMark;
  std::string text = {};

  bool operator==(const CallPart&) const = default;
};

struct ToolCallSyntax {
  std::string begin = {};      // in front of the first call; may be empty, as all three
  std::string separator = {};  // between calls
  std::string end = {};        // behind the last one
  std::vector<CallPart> parts = {};

  // Of kObject. An empty key of the name: the name is itself the key of the arguments.
  std::string name_key = {};
  std::string arguments_key = {};
  std::string id_key = {};  // behind the arguments; may be missing, and is not used
  bool arguments_first = false;

  // Nothing marks a call: an answer that is such an object is one, if it names a tool. `begin` may
  // be there.
  bool bare = false;

  // Of kTagged: key_open KEY value_open VALUE value_close, with tag_separator between them. Texts
  // stand as they are, everything else as JSON.
  std::string key_open = {};
  std::string value_open = {};
  std::string json_open = {};  // in the place of value_open, of values that are no texts; or empty
  std::string value_close = {};
  std::string tag_separator = {};
  bool json_texts = false;  // texts stand as JSON, too

  bool operator==(const ToolCallSyntax&) const = default;

  bool is_tagged() const {
    for (const CallPart& part : parts) {
      if (part.kind == CallPart::Kind::kTagged) return true;
    }
    return false;
  }
};

// Between `open` and `close`, an object with these keys.
inline ToolCallSyntax object_syntax(std::string open, std::string close, std::string name_key,
                                    std::string arguments_key) {
  ToolCallSyntax syntax;
  if (!open.empty()) syntax.parts.push_back({CallPart::Kind::kMark, std::move(open)});
  syntax.parts.push_back({CallPart::Kind::kObject});
  if (!close.empty()) syntax.parts.push_back({CallPart::Kind::kMark, std::move(close)});
  syntax.name_key = std::move(name_key);
  syntax.arguments_key = std::move(arguments_key);
  return syntax;
}

// All texts of which it consists.
inline std::vector<std::string> marks_of(const ToolCallSyntax& syntax) {
  std::vector<std::string> marks{syntax.begin,      syntax.separator,  syntax.end,
                                 syntax.key_open,   syntax.value_open, syntax.json_open,
                                 syntax.value_close};
  for (const CallPart& part : syntax.parts) marks.push_back(part.text);
  return marks;
}

}  // namespace potluck
