// Arbitrary text as an answer, in each syntax of tool calls: whole and byte by byte it has the same
// parts, a call's arguments are what was passed on as they grew, and text that begins no call stays
// as it is. The first byte chooses the syntax.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/chat/channels.h"
#include "engine/chat/tool_calls.h"

namespace potluck {
namespace {

using Kind = CallPart::Kind;

ToolCallSyntax tagged() {
  ToolCallSyntax syntax;
  syntax.parts = {{Kind::kMark, "<c>\n<f="},
                  {Kind::kName},
                  {Kind::kMark, ">\n"},
                  {Kind::kTagged},
                  {Kind::kMark, "</f>\n</c>"}};
  syntax.key_open = "<p=";
  syntax.value_open = ">\n";
  syntax.value_close = "\n</p>\n";
  return syntax;
}

ToolCallSyntax typed_tags() {
  ToolCallSyntax syntax = tagged();
  syntax.begin = "<s>\n";
  syntax.end = "</s>";
  syntax.value_open = "\" t=\"1\">";
  syntax.json_open = "\" t=\"0\">";
  syntax.value_close = "</p>";
  return syntax;
}

ToolCallSyntax list() {
  ToolCallSyntax syntax = object_syntax("", "", "name", "arguments");
  syntax.begin = "[C][";
  syntax.separator = ", ";
  syntax.end = "]";
  return syntax;
}

ToolCallSyntax named() {
  ToolCallSyntax syntax;
  syntax.begin = "<s>";
  syntax.end = "</s>";
  syntax.parts = {{Kind::kMark, "<c>"}, {Kind::kName},      {Kind::kMark, ":"},   {Kind::kNumber},
                  {Kind::kMark, "<a>"}, {Kind::kArguments}, {Kind::kMark, "</c>"}};
  return syntax;
}

ToolCallSyntax bare() {
  ToolCallSyntax syntax = object_syntax("", "", "name", "parameters");
  syntax.begin = "<t>";
  syntax.separator = "; ";
  syntax.bare = true;
  return syntax;
}

const std::vector<ToolCallSyntax>& syntaxes() {
  static const std::vector<ToolCallSyntax> all{object_syntax("<c>", "</c>", "name", "arguments"),
                                               list(),
                                               named(),
                                               tagged(),
                                               typed_tags(),
                                               bare(),
                                               object_syntax("<c>", "</c>", "", "")};
  return all;
}

std::vector<JsonValue> tools() {
  auto tool = parse_json(R"({"type": "function", "function": {"name": "f", "parameters": {
      "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}}})");
  CHECK(tool.ok());
  return {*tool};
}

void append(const SplitCalls& piece, SplitCalls* to) {
  to->content += piece.content;
  to->calls.insert(to->calls.end(), piece.calls.begin(), piece.calls.end());
  for (const ToolCallGrowth& growth : piece.growth) {
    if (growth.begins) to->growth.push_back({true, {}, growth.name, {}});
    CHECK(!to->growth.empty());
    to->growth.back().arguments += growth.arguments;
  }
}

SplitCalls read(size_t choice, std::string_view text, size_t size) {
  SplitCalls all;
  if (choice == syntaxes().size()) {
    ChannelSplitter splitter("<|start|>assistant");
    for (size_t at = 0; at < text.size(); at += size) {
      append(splitter.push(text.substr(at, size)).rest, &all);
    }
    append(splitter.finish().rest, &all);
    return all;
  }
  ToolCallSplitter splitter(syntaxes()[choice], ArgumentTypes(tools()));
  for (size_t at = 0; at < text.size(); at += size) {
    append(splitter.push(text.substr(at, size)), &all);
  }
  append(splitter.finish(), &all);
  return all;
}

void check_same(const SplitCalls& a, const SplitCalls& b) {
  CHECK(a.content == b.content);
  CHECK(a.calls.size() == b.calls.size() && a.growth.size() == b.growth.size());
  CHECK(a.growth.size() == a.calls.size());
  for (size_t i = 0; i < a.calls.size(); ++i) {
    CHECK(a.calls[i].name == b.calls[i].name && a.calls[i].name == a.growth[i].name);
    CHECK(a.growth[i].arguments == b.growth[i].arguments);
    const ToolCall whole = whole_call(a.growth[i].name, a.growth[i].arguments);
    CHECK(write_json(whole.arguments) == write_json(a.calls[i].arguments));
  }
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace potluck;
  if (size == 0) return 0;
  const size_t choice = data[0] % (syntaxes().size() + 1);
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const SplitCalls whole = read(choice, text, std::max<size_t>(1, text.size()));
  check_same(whole, read(choice, text, 1));
  check_same(whole, read(choice, text, 3));
  const bool has_marks = text.find_first_of("<[{") != std::string_view::npos;
  if (!has_marks && choice < syntaxes().size()) CHECK(whole.content == text);
  return 0;
}
