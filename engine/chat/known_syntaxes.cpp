#include "engine/chat/known_syntaxes.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "engine/chat/channels.h"

namespace potluck {
namespace {

using Kind = CallPart::Kind;

bool has_all(std::string_view source, std::initializer_list<std::string_view> texts) {
  return std::ranges::all_of(
      texts, [&](std::string_view text) { return source.find(text) != std::string_view::npos; });
}

// Kimi K2: the id that stands there is "functions.NAME:NUMBER" if the model wrote it.
ToolCallSyntax numbered_functions() {
  ToolCallSyntax syntax;
  syntax.begin = "<|tool_calls_section_begin|>";
  syntax.end = "<|tool_calls_section_end|>";
  syntax.parts = {{Kind::kMark, "<|tool_call_begin|>functions."},
                  {Kind::kName},
                  {Kind::kMark, ":"},
                  {Kind::kNumber},
                  {Kind::kMark, "<|tool_call_argument_begin|>"},
                  {Kind::kArguments},
                  {Kind::kMark, "<|tool_call_end|>"}};
  return syntax;
}

// Granite 3: a list behind one mark.
ToolCallSyntax list_behind_mark() {
  ToolCallSyntax syntax = object_syntax("", "", "name", "arguments");
  syntax.begin = "<|tool_call|>[";
  syntax.separator = ", ";
  syntax.end = "]";
  return syntax;
}

}  // namespace

bool writes_channels(std::string_view template_source) {
  return has_all(template_source, {channels::kStart, channels::kChannel, channels::kMessage});
}

std::optional<ToolCallSyntax> known_call_syntax(std::string_view template_source) {
  if (has_all(template_source, {"<|tool_calls_section_begin|>", "<|tool_call_begin|>",
                                "<|tool_call_argument_begin|>"})) {
    return numbered_functions();
  }
  if (has_all(template_source, {"<|start_of_role|>", "<|tool_call|>"})) return list_behind_mark();
  return std::nullopt;
}

std::string_view known_call_prefix(std::string_view template_source) {
  constexpr std::string_view kPythonTag = "<|python_tag|>";
  return has_all(template_source, {kPythonTag}) ||
                 has_all(template_source, {"<|start_header_id|>", "ipython"})
             ? kPythonTag
             : std::string_view();
}

}  // namespace potluck
