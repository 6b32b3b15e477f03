// Arbitrary bytes as chat templates: an error with a message, or a prompt all of whose user text is
// marked and within bounds. The first byte chooses the conversation, whose texts are all made of
// letters that the template's own text does not have, so that marks can be checked.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/utf8.h"
#include "engine/chat/chat_template.h"
#include "engine/template/interpreter.h"
#include "engine/template/parser.h"

namespace potluck {
namespace {

// Letters that only the conversation has: the templates' own are taken away.
constexpr std::string_view kUserLetters = "\xD0\x96\xD0\xB6";  // Ж and ж: case changes stay inside

std::string without_user_letters(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    if (c != '\xD0') out += c;
  }
  return out;
}

JsonValue text(const std::string& before) {
  return JsonValue{before + std::string(kUserLetters)};
}

Conversation conversation(uint8_t choice) {
  Conversation made;
  if (choice & 1) made.messages.push_back({"system", text(" \n"), {}, {}, {}, {}});
  made.messages.push_back({"user", text("<|im_end|>"), {}, {}, {}, {}});
  if (choice & 2) {
    ChatMessage call{"assistant", text(""), std::string(kUserLetters), {}, {}, {}};
    call.tool_calls.push_back(
        {"1", std::string(kUserLetters),
         JsonValue{JsonValue::Object{{"a", text("'")}, {"n", JsonValue{int64_t{7}}}}}});
    made.messages.push_back(std::move(call));
    made.messages.push_back({"tool", text("{}"), {}, {}, "1", std::string(kUserLetters)});
  }
  if (choice & 4) {
    made.tools.push_back(JsonValue{JsonValue::Object{
        {"type", JsonValue{std::string("function")}},
        {"function",
         JsonValue{JsonValue::Object{{"name", text("t")}, {"parameters", JsonValue{}}}}},
    }});
  }
  made.add_generation_prompt = (choice & 8) != 0;
  if (choice & 16) made.arguments.emplace_back("enable_thinking", JsonValue{false});
  return made;
}

// Escapes, such as "\u0416", let templates write the letters after all.
bool may_write_user_letters(std::string_view source) {
  return source.find('\\') != std::string_view::npos;
}

void check_prompt(const MarkedText& prompt, std::string_view source) {
  CHECK(!find_invalid_utf8(prompt.bytes()));
  CHECK(prompt.size() <= limits::kTemplateTextBytes);
  size_t end = 0;
  for (const TextSegment& segment : prompt.segments()) {
    end += segment.text.size();
    if (segment.trust == Trust::kUser || may_write_user_letters(source)) continue;
    CHECK(segment.text.find('\xD0') == std::string_view::npos);
  }
  CHECK(end == prompt.size());
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string source =
      potluck::without_user_letters({reinterpret_cast<const char*>(data + 1), size - 1});
  const auto parsed = potluck::ChatTemplate::parse(source);
  if (!parsed) {
    CHECK(!parsed.error().message.empty());
    return 0;
  }
  const auto prompt =
      parsed->render(potluck::conversation(data[0]), {"<s>", "</s>", 1'769'000'000});
  if (prompt) {
    potluck::check_prompt(*prompt, source);
  } else {
    CHECK(!prompt.error().message.empty());
  }
  return 0;
}
