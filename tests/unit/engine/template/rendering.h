// Renders templates for tests. Test code, one thread.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/template/interpreter.h"
#include "engine/template/parser.h"

namespace potluck::test {

inline constexpr int64_t kLocalSeconds = 1'769'000'000;

// `variables` is a JSON object, all of it user text.
inline Result<MarkedText> render(std::string_view source, std::string_view variables = "{}") {
  auto block = parse_template(source);
  if (!block) return block.error();
  auto json = parse_json(variables);
  CHECK(json.ok() && json->object() != nullptr);
  Heap heap;
  Interpreter interpreter(&heap, kLocalSeconds);
  for (const auto& [name, value] : *json->object()) {
    auto converted = heap.from_json(value, Trust::kUser);
    if (!converted) return converted.error();
    interpreter.set_variable(name, *converted);
  }
  return interpreter.run(*block);
}

// User text in brackets.
inline std::string marked(const MarkedText& text) {
  std::string out;
  for (const TextSegment& segment : text.segments()) {
    const bool user = segment.trust == Trust::kUser;
    out += (user ? "[" : "") + std::string(segment.text) + (user ? "]" : "");
  }
  return out;
}

// The message of the error that rendering must end with.
inline std::string error_of(std::string_view source, std::string_view variables = "{}") {
  auto rendered = render(source, variables);
  return rendered ? "rendered: " + std::string(rendered->bytes()) : rendered.error().message;
}

}  // namespace potluck::test
