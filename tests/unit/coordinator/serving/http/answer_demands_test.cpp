// What requests demand of the form of their answers, in the words of each API.
#include "coordinator/serving/http/answer_demands.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using Choice = ToolChoice::Kind;
using Format = AnswerFormat::Kind;

TEST(AnswerDemands, ToolChoicesMeanTheSameInEveryApi) {
  const std::tuple<const char*, const char*, Choice, const char*> cases[] = {
      {R"("auto")", R"({"type": "auto"})", Choice::kAuto, ""},
      {R"("none")", R"({"type": "none"})", Choice::kNone, ""},
      {R"("required")", R"({"type": "any"})", Choice::kRequired, ""},
      {R"({"type": "function", "function": {"name": "look"}})",
       R"({"type": "tool", "name": "look"})", Choice::kNamed, "look"},
      {R"({"type": "function", "name": "look"})", R"({"type": "tool", "name": "look"})",
       Choice::kNamed, "look"},
      {"null", "null", Choice::kAuto, ""},
  };
  for (const auto& [openai, anthropic, kind, name] : cases) {
    std::optional<ApiError> error;
    const JsonValue first = test::json_value(fmt::format(R"({{"tool_choice": {}}})", openai));
    const JsonValue second = test::json_value(fmt::format(R"({{"tool_choice": {}}})", anthropic));
    JsonFields openai_fields(first, "", &error);
    JsonFields anthropic_fields(second, "", &error);
    for (const ToolChoice& choice :
         {read_openai_tool_choice(openai_fields), read_anthropic_tool_choice(anthropic_fields)}) {
      EXPECT_EQ(choice.kind, kind) << openai;
      EXPECT_EQ(choice.name, name) << openai;
    }
    EXPECT_FALSE(error) << openai;
  }
}

TEST(AnswerDemands, FormatsMeanTheSameInEveryApi) {
  const std::pair<const char*, Format> openai[] = {
      {R"({"type": "text"})", Format::kText},
      {R"({"type": "json_object"})", Format::kJson},
      {R"({"type": "json_schema", "json_schema": {"schema": {"type": "object"}}})",
       Format::kSchema},
      {R"({"type": "json_schema", "schema": {"type": "object"}})", Format::kSchema}};
  std::optional<ApiError> error;
  for (const auto& [text, kind] : openai) {
    const JsonValue value = test::json_value(text);
    const AnswerFormat format = read_openai_format(&value, "text.format", &error);
    EXPECT_EQ(format.kind, kind) << text;
    EXPECT_EQ(format.field, "text.format");
    EXPECT_EQ(write_json(format.schema),
              kind == Format::kSchema ? R"({"type": "object"})" : "null");
  }
  EXPECT_EQ(read_openai_format(nullptr, "x", &error).kind, Format::kText);
  const std::pair<const char*, Format> ollama[] = {{R"({})", Format::kText},
                                                   {R"({"format": ""})", Format::kText},
                                                   {R"({"format": "json"})", Format::kJson},
                                                   {R"({"format": {}})", Format::kSchema}};
  for (const auto& [text, kind] : ollama) {
    const JsonValue value = test::json_value(text);
    JsonFields fields(value, "", &error);
    EXPECT_EQ(read_ollama_format(fields).kind, kind) << text;
  }
  EXPECT_FALSE(error);
}

}  // namespace
}  // namespace potluck
