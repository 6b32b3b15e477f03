// Required calls: what the grammar allows is a valid call in the syntax of the template, and what
// the template writes of a valid call is what the grammar allows.
#include "engine/chat/call_grammar.h"

#include <gtest/gtest.h>

#include "engine/chat/answer_grammar.h"
#include "engine/grammar/grammar_walk.h"
#include "engine/grammar/token_trie.h"
#include "tests/unit/engine/chat/syntax_samples.h"
#include "tests/unit/engine/grammar/schema_validator.h"

namespace potluck {
namespace {

using test::SaidAnswer;

CallForm form_of(const std::vector<JsonValue>& tools, uint32_t most) {
  CallForm form;
  form.most = most;
  for (const JsonValue& tool : tools) {
    ToolDefinition read = read_tool(tool);
    form.functions.push_back({read.name, read.parameters});
  }
  return form;
}

std::shared_ptr<const Grammar> grammar_of(const ChatTemplate& made, uint32_t most) {
  auto grammar = make_answer_grammar(form_of(test::sample_tools(), most), made.answer_syntax());
  EXPECT_TRUE(grammar) << grammar.error().message;
  return grammar ? *grammar : nullptr;
}

bool allows(const Grammar& grammar, AnswerEntry entry, std::string_view text) {
  GrammarWalk walk(grammar);
  auto state = walk.at({grammar.entries[static_cast<size_t>(entry)], 0});
  for (const char byte : text) state = walk.step(state, static_cast<uint8_t>(byte));
  return walk.may_end(state);
}

// Calls as the template writes them, in the order of the schema's properties.
TEST(CallGrammar, AllowsWhatTheTemplateWrites) {
  for (const test::SyntaxSample& sample : test::syntax_samples()) {
    // What is read there, quoted or not, is drawn without quotes.
    if (sample.name == "quoted arguments") continue;
    const ChatTemplate made = test::parsed_template(sample.source);
    const auto grammar = grammar_of(made, 4);
    ASSERT_NE(grammar, nullptr);
    for (const char* arguments :
         {R"({"place": "Paris"})", R"({"place": "a\nb \"c\"", "count": 7, "sure": true})",
          R"({"place": "<b>", "list": ["x", "y"], "inner": {"a": 1}, "maybe": null})",
          R"({"place": "\n", "code": "", "maybe": "x", "way": "north"})"}) {
      SaidAnswer said;
      said.calls.push_back({"call12345", "look", test::json(arguments)});
      if (!sample.single) said.calls.push_back({"call67890", "wait", test::json("{}")});
      auto [prompt, answer] = test::written(made, said, test::sample_tools());
      if (answer.ends_with("<|call|>")) answer.resize(answer.size() - 8);
      answer.erase(0, answer.find_first_not_of('\n'));
      answer.resize(answer.find_last_not_of('\n') + 1);
      const AnswerEntry entry = answer_entry(made.answer_syntax(), prompt);
      EXPECT_TRUE(allows(*grammar, entry, answer)) << sample.name << "\n" << answer;
    }
    EXPECT_FALSE(allows(*grammar, AnswerEntry::kEither, "Hello")) << sample.name;
  }
}

// Goes through the grammar at random, and looks where it would end.
class RandomAnswer {
 public:
  RandomAnswer(const Grammar& grammar, uint64_t seed) : walk_(grammar), random_(seed) {}

  std::string make(size_t entry, const Grammar& grammar) {
    std::string text;
    auto state = walk_.at({grammar.entries[entry], 0});
    while (text.size() < kMostBytes) {
      if (walk_.may_end(state) && below(4) == 0) return text;
      // Hardly ever met by chance: what ends a text between marks.
      if (below(8) == 0 && follow(kHints[below(std::size(kHints))], &state, &text)) continue;
      std::vector<std::pair<char, GrammarWalk::State>> next;
      for (int byte = 0x20; byte < 0x7F; ++byte) add(state, static_cast<char>(byte), &next);
      for (const char byte : {'\n', kControlByte}) add(state, byte, &next);
      for (int byte = 0; byte < 0x100 && next.empty(); ++byte) {
        add(state, static_cast<char>(byte), &next);
      }
      if (next.empty()) return walk_.may_end(state) ? text : std::string();
      const auto& [byte, to] = next[below(next.size())];
      text += byte;
      state = to;
    }
    return {};
  }

 private:
  static constexpr size_t kMostBytes = 4000;
  static constexpr std::string_view kHints[] = {"\n</parameter>", "</parameter>", "</arg_value>",
                                                "</｜x｜parameter>", "</arg>"};

  bool follow(std::string_view hint, GrammarWalk::State* state, std::string* text) {
    auto to = *state;
    for (const char byte : hint) to = walk_.step(to, static_cast<uint8_t>(byte));
    if (to == GrammarWalk::kDead) return false;
    *state = to;
    *text += hint;
    return true;
  }

  size_t below(size_t bound) { return random_.bits(next_++) % bound; }
  void add(GrammarWalk::State from, char byte,
           std::vector<std::pair<char, GrammarWalk::State>>* next) {
    const auto to = walk_.step(from, static_cast<uint8_t>(byte));
    if (to == GrammarWalk::kDead) return;
    next->emplace_back(byte, to);
    // What ends a text is one byte among many.
    if (byte == '"' || byte == '<' || byte == '}') next->insert(next->end(), 20, {byte, to});
  }

  GrammarWalk walk_;
  CounterRandom random_;
  uint64_t next_ = 0;
};

TEST(CallGrammar, AllowsValidCallsAlone) {
  const auto tools = test::sample_tools();
  for (const test::SyntaxSample& sample : test::syntax_samples()) {
    const ChatTemplate made = test::parsed_template(sample.source);
    const auto grammar = grammar_of(made, sample.single ? 1 : 3);
    ASSERT_NE(grammar, nullptr);
    size_t finished = 0;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      const size_t entry = static_cast<size_t>(
          made.answer_syntax().has_channels ? AnswerEntry::kEither : AnswerEntry::kAnswer);
      std::string text = RandomAnswer(*grammar, seed).make(entry, *grammar);
      std::erase(text, kControlByte);
      if (text.empty()) continue;
      ++finished;
      const std::string prompt = made.answer_syntax().has_channels ? "<|start|>assistant" : "";
      const SaidAnswer read = test::read_answer(made.answer_syntax(), tools, prompt, text, 0, seed);
      EXPECT_EQ(read.content, "") << sample.name << "\n" << text;
      ASSERT_FALSE(read.calls.empty()) << sample.name << "\n" << text;
      for (const ToolCall& call : read.calls) {
        ASSERT_NE(call.arguments.object(), nullptr) << sample.name << "\n" << text;
        for (const JsonValue& tool : tools) {
          const ToolDefinition defined = read_tool(tool);
          if (defined.name != call.name) continue;
          const auto schema = test::Json::parse(write_json(defined.parameters));
          const auto value = test::Json::parse(write_json(call.arguments));
          EXPECT_TRUE(test::is_valid(schema, value, schema)) << sample.name << "\n" << text;
        }
      }
    }
    EXPECT_GT(finished, 5U) << sample.name;
  }
}

TEST(CallGrammar, TextsBetweenMarksKeepToTheirSchema) {
  const ChatTemplate made = test::parsed_template(test::syntax_sample("tags").source);
  const auto allowed = [&](const std::string& schema, const std::string& value) {
    CallForm form;
    form.functions.push_back({"f", test::json("{\"type\": \"object\", \"properties\": {\"a\": " +
                                              schema + "}, \"required\": [\"a\"]}")});
    auto grammar = make_answer_grammar(form, made.answer_syntax());
    if (!grammar) return grammar.error().message;
    const std::string text = "<tool_call>\n<function=f>\n<parameter=a>\n" + value +
                             "\n</parameter>\n</function>\n</tool_call>";
    return std::string(allows(**grammar, AnswerEntry::kAnswer, text) ? "yes" : "no");
  };
  EXPECT_EQ(allowed(R"({"type": "string"})", "a\n\"b"), "yes");
  EXPECT_EQ(allowed(R"({"type": "string"})", "a</parameter>b"), "no");
  EXPECT_EQ(allowed(R"({"type": "string", "maxLength": 3})", "abc"), "yes");
  EXPECT_EQ(allowed(R"({"type": "string", "maxLength": 3})", "abcd"), "no");
  EXPECT_EQ(allowed(R"({"type": "string", "pattern": "^x+$"})", "xx"), "yes");
  EXPECT_EQ(allowed(R"({"type": "string", "pattern": "^x+$"})", "xy"), "no");
  EXPECT_EQ(allowed(R"({"enum": ["n", "s"]})", "s"), "yes");
  EXPECT_EQ(allowed(R"({"enum": ["n", "s"]})", "\"s\""), "no");
  EXPECT_EQ(allowed(R"({"type": "integer"})", "12"), "yes");
  EXPECT_EQ(allowed(R"({"type": "integer"})", "x"), "no");
  EXPECT_EQ(allowed(R"({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "array"}]})", "ab"),
            "yes");
  EXPECT_EQ(
      allowed(R"({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "array"}]})", "[1, 2]"),
      "yes");
  EXPECT_EQ(allowed(R"({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "array"}]})", "abc"),
            "no");
}

TEST(CallGrammar, ErrorsNameTheFunction) {
  const ChatTemplate made = test::parsed_template(test::syntax_sample("tags").source);
  CallForm form;
  form.functions.push_back(
      {"f", test::json(R"({"anyOf": [{"type": "object"}, {"required": []}]})")});
  const auto grammar = make_answer_grammar(form, made.answer_syntax());
  ASSERT_FALSE(grammar);
  EXPECT_NE(grammar.error().message.find("function 'f'"), std::string::npos);
}

TEST(AnswerGrammar, JsonInChannelsIsForTheUser) {
  AnswerSyntax syntax;
  syntax.has_channels = true;
  const auto grammar = make_answer_grammar(JsonForm{test::json(R"({"type": "integer"})")}, syntax);
  ASSERT_TRUE(grammar);
  const std::string final = "<|channel|>final<|message|>12";
  EXPECT_TRUE(allows(**grammar, AnswerEntry::kEither, final));
  EXPECT_TRUE(allows(**grammar, AnswerEntry::kEither,
                     "<|channel|>analysis<|message|>so <|<|end|><|start|>assistant" + final));
  EXPECT_TRUE(
      allows(**grammar, AnswerEntry::kReasoning, "so\xFF<|end|>\xFF<|start|>assistant" + final));
  EXPECT_TRUE(allows(**grammar, AnswerEntry::kAnswer, "12"));
  EXPECT_FALSE(allows(**grammar, AnswerEntry::kEither, "12"));
  EXPECT_EQ(answer_entry(syntax, "<|start|>assistant"), AnswerEntry::kEither);
  EXPECT_EQ(answer_entry(syntax, "<|start|>assistant<|channel|>final<|message|>"),
            AnswerEntry::kAnswer);
  EXPECT_EQ(answer_entry(syntax, "<|start|>assistant<|channel|>analysis<|message|>"),
            AnswerEntry::kReasoning);
}

}  // namespace
}  // namespace potluck
