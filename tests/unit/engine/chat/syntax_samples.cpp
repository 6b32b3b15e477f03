#include "tests/unit/engine/chat/syntax_samples.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck::test {
namespace {

constexpr std::string_view kOver = "<|over|>";

// `calls` writes the calls of the message m.
std::string turns(const std::string& calls, const std::string& begin = "") {
  return "{% for m in messages %}<|turn|>{{ m.role }}\n" + begin +
         "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
         "{{ m.content or '' }}{% if m.tool_calls %}" +
         calls +
         "{% endif %}<|over|>{% endfor %}"
         "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}";
}

// `call` writes the call c; `n` and `a` are its name and its arguments.
std::string each(const std::string& call, const std::string& between = "") {
  return "{% for c in m.tool_calls %}{% set n = c.function.name %}{% set a = c.function.arguments "
         "%}" +
         call + (between.empty() ? "" : "{% if not loop.last %}" + between + "{% endif %}") +
         "{% endfor %}";
}

const std::string kJson = "{{ a | tojson }}";
const std::string kObject = "{\"name\": \"{{ n }}\", \"arguments\": " + kJson + "}";
const std::string kNeedsShortId =
    "{% if c.id is not defined or c.id | length != 9 %}{{ raise_exception('nine') }}{% endif %}";
const std::string kValue = "{{ v if v is string else v | tojson }}";

std::string tags(const std::string& tag) {
  return "{% for k, v in a.items() %}" + tag + "{% endfor %}";
}

// Messages in channels, with one call to a message and its reasoning under another name.
std::string channels_source() {
  return "{% for m in messages %}{% if m.role == 'assistant' and m.tool_calls %}"
         "{% if m.content and m.thinking %}{{ raise_exception('both') }}{% endif %}"
         "{% if m.content or m.thinking %}<|start|>assistant<|channel|>analysis<|message|>"
         "{{ m.content or m.thinking }}<|end|>{% endif %}{% set c = m.tool_calls[0].function %}"
         "<|start|>assistant to=functions.{{ c.name }}<|channel|>commentary json<|message|>"
         "{{ c.arguments | tojson }}<|call|>"
         "{% elif m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>"
         "{{ m.content }}<|end|>{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>"
         "{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}";
}

// Calls only where there is no text, and the mark behind all of them only where there are several.
std::string fence_source() {
  return "{% for m in messages %}{% if m.role == 'assistant' and m.content is none %}"
         "{% for c in m.tool_calls %}{% if loop.first %}<|assistant|><|calls|>{% else %}"
         "{{ '\\n' }}{% endif %}<|call|>{{ c.type }}<|sep|>{{ c.function.name }}\n```json\n"
         "{{ c.function.arguments + '' }}\n```<|/call|>"
         "{% if loop.last and not loop.first %}<|/calls|><|over|>{% endif %}{% endfor %}"
         "{% elif m.role == 'assistant' %}<|assistant|>{{ m.content }}<|over|>"
         "{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|>{% endif %}";
}

std::vector<SyntaxSample> make_samples() {
  return {
      {"object", turns(each("\n<tool_call>\n" + kObject + "\n</tool_call>"))},
      {"other keys", turns(each("<do>{\"input\": " + kJson + ", \"tool\": \"{{ n }}\"}</do>"))},
      {"quoted arguments",
       turns(each("<do>{\"name\": \"{{ n }}\", \"arguments\": {{ a | tojson | tojson }}}</do>"))},
      {"list behind a mark", turns("[TOOL_CALLS][" +
                                   each(kNeedsShortId + "{\"name\": \"{{ n }}\", \"arguments\": " +
                                            kJson + ", \"id\": \"{{ c.id }}\"}",
                                        ", ") +
                                   "]")},
      {"list between marks", turns("\n<calls>[" + each(kObject, ", ") + "]</calls>")},
      {"lines between marks", turns("\n<calls>\n" + each(kObject + "\n") + "</calls>")},
      {"name as key",
       turns("<|tools|>[" + each("{\"{{ n }}\": " + kJson + "}", ", ") + "]<|/tools|>")},
      {"bare object",
       turns("{% if m.tool_calls | length > 1 %}{{ raise_exception('one') }}{% endif %}" +
             each("{\"name\": \"{{ n }}\", \"parameters\": " + kJson + "}")),
       true},
      {"name and arguments", turns(each("[TOOL_CALLS]{{ n }}[ARGS]" + kJson))},
      {"id between",
       turns(each(kNeedsShortId + "[TOOL_CALLS]{{ n }}[CALL_ID]{{ c.id }}[ARGS]" + kJson))},
      {"id in front",
       turns(each("<|call|>{{ c.id }}<|name|>{{ n }}<|args|>" + kJson + "<|/call|>", "\n"))},
      {"fence", turns("<｜calls▁begin｜>" +
                      each("<｜call▁begin｜>function<｜sep｜>{{ n }}\n```json\n" + kJson +
                               "\n```<｜call▁end｜>",
                           "\n") +
                      "<｜calls▁end｜>")},
      {"separator", turns("<｜calls▁begin｜>" +
                          each("<｜call▁begin｜>{{ n }}<｜sep｜>" + kJson + "<｜call▁end｜>") +
                          "<｜calls▁end｜>")},
      {"numbers",
       turns("<|section|>" +
             each("<|call|>functions.{{ n }}:{{ loop.index0 }}<|args|>" + kJson + "<|/call|>") +
             "<|/section|>")},
      {"function tag", turns(each("<function={{ n }}>" + kJson + "</function>"))},
      {"text arguments",
       turns(each("<call>{{ '{\"name\": \"' + n + '\", \"arguments\": ' + a + '}' }}</call>"))},
      {"tags",
       turns(each("\n<tool_call>\n<function={{ n }}>\n" +
                  tags("<parameter={{ k }}>\n" + kValue + "\n</parameter>\n") +
                  "</function>\n</tool_call>")),
       false, true},
      {"keys and values",
       turns(each("\n<tool_call>{{ n }}\n" +
                  tags("<arg_key>{{ k }}</arg_key>\n<arg_value>" + kValue + "</arg_value>\n") +
                  "</tool_call>")),
       false, true},
      {"keys and values on one line",
       turns(each("<tool_call>{{ n }}" +
                  tags("<arg_key>{{ k }}</arg_key><arg_value>" + kValue + "</arg_value>") +
                  "</tool_call>")),
       false, true},
      {"attributes",
       turns("\n<m:calls>\n" +
             each("<invoke name=\"{{ n }}\">\n" +
                  tags("<parameter name=\"{{ k }}\">" + kValue + "</parameter>\n") +
                  "</invoke>\n") +
             "</m:calls>"),
       false, true},
      {"attributes with types",
       turns("\n\n<｜x｜calls>\n" +
             each("<｜x｜invoke name=\"{{ n }}\">\n" +
                  tags("<｜x｜parameter name=\"{{ k }}\" string=\"{{ 'true' if v is string else "
                       "'false' }}\">" +
                       kValue + "</｜x｜parameter>\n") +
                  "</｜x｜invoke>\n") +
             "</｜x｜calls>"),
       false, true},
      {"JSON in tags",
       turns(each("<call={{ n }}>" + tags("<arg={{ k }}>{{ v | tojson }}</arg>") + "</call>")),
       false, true},
      {"fence without text", fence_source(), false, false, true},
      {"channels", channels_source(), true},
  };
}

void append(AnswerPiece piece, SaidAnswer* to) {
  to->reasoning += piece.reasoning;
  to->content += piece.content;
  for (ToolCall& call : piece.calls) to->calls.push_back(std::move(call));
  for (const ToolCallGrowth& growth : piece.growth) {
    if (growth.begins) to->growth += (to->growth.empty() ? "" : ")") + growth.name + "(";
    to->growth += growth.arguments;
  }
}

// The stages of AnswerStream, without a tokenizer.
class TextReader {
 public:
  TextReader(const AnswerSyntax& syntax, const std::vector<JsonValue>& tools,
             std::string_view prompt)
      : reasoning_(syntax.reasoning, prompt), calls_(syntax.calls, ArgumentTypes(tools)) {
    if (syntax.has_channels) channels_.emplace(prompt);
  }

  AnswerPiece push(std::string_view text) {
    if (channels_) return piece(channels_->push(text));
    return piece(reasoning_.push(text), false);
  }
  AnswerPiece finish() {
    return channels_ ? piece(channels_->finish()) : piece(reasoning_.finish(), true);
  }

 private:
  static AnswerPiece piece(SplitChannels split) {
    return {split.reasoning, split.rest.content, split.rest.calls, split.rest.growth};
  }
  AnswerPiece piece(const SplitReasoning& split, bool is_last) {
    SplitCalls calls = calls_.push(split.content);
    AnswerPiece made{split.reasoning, calls.content, calls.calls, calls.growth};
    if (!is_last) return made;
    SplitCalls last = calls_.finish();
    made.content += last.content;
    made.calls.insert(made.calls.end(), last.calls.begin(), last.calls.end());
    made.growth.insert(made.growth.end(), last.growth.begin(), last.growth.end());
    return made;
  }

  ReasoningSplitter reasoning_;
  ToolCallSplitter calls_;
  std::optional<ChannelSplitter> channels_;
};

}  // namespace

const std::vector<SyntaxSample>& syntax_samples() {
  static const std::vector<SyntaxSample> samples = make_samples();
  return samples;
}

const SyntaxSample& syntax_sample(std::string_view name) {
  const auto found = std::ranges::find(syntax_samples(), name, &SyntaxSample::name);
  CHECK(found != syntax_samples().end());
  return *found;
}

std::vector<JsonValue> sample_tools() {
  return {json(R"({"type": "function", "function": {"name": "look", "description": "Looks",
    "parameters": {"type": "object", "properties": {
      "place": {"type": "string"}, "code": {"type": "string"}, "count": {"type": "integer"},
      "part": {"type": "number"}, "sure": {"type": "boolean"},
      "list": {"type": "array", "items": {"type": "string"}},
      "inner": {"type": "object", "additionalProperties": true},
      "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
      "way": {"enum": ["north", "south"]}},
      "required": ["place"]}}})"),
          json(R"({"type": "function", "function": {"name": "wait", "description": "Waits",
    "parameters": {"type": "object", "properties": {}}}})")};
}

JsonValue json(std::string_view text) {
  auto parsed = parse_json(text);
  CHECK(parsed.ok());
  return std::move(*parsed);
}

ChatTemplate parsed_template(std::string_view source) {
  auto parsed = ChatTemplate::parse(source);
  CHECK(parsed.ok());
  return std::move(*parsed);
}

std::string shown(const std::vector<ToolCall>& calls) {
  std::string all;
  for (const ToolCall& call : calls) {
    const bool is_text = call.arguments.text() != nullptr;
    all += call.name + "(" + (is_text ? *call.arguments.text() : write_json(call.arguments)) + ")";
  }
  return all;
}

std::string shown(const SaidAnswer& answer) {
  return answer.reasoning + "|" + answer.content + "|" + shown(answer.calls);
}

WrittenAnswer written(const ChatTemplate& made, const SaidAnswer& answer,
                      const std::vector<JsonValue>& tools) {
  Conversation conversation;
  conversation.tools = tools;
  conversation.messages.push_back({"user", JsonValue{std::string("Hello")}, {}, {}, {}, {}});
  const auto prompt = made.render(conversation, {});
  ChatMessage said{"assistant", JsonValue{answer.content}, {}, answer.calls, {}, {}};
  if (!answer.reasoning.empty()) said.reasoning_content = answer.reasoning;
  conversation.messages.push_back(std::move(said));
  conversation.add_generation_prompt = false;
  const auto whole = made.render(conversation, {});
  if (!prompt || !whole) return {};
  WrittenAnswer both{std::string(prompt->bytes()), std::string(whole->bytes())};
  const auto [end, unused] = std::ranges::mismatch(both.answer, both.prompt);
  const auto shared = static_cast<size_t>(end - both.answer.begin());
  both.answer.erase(0, shared);
  if (both.answer.ends_with(kOver)) both.answer.resize(both.answer.size() - kOver.size());
  return both;
}

SaidAnswer read_answer(const AnswerSyntax& syntax, const std::vector<JsonValue>& tools,
                       std::string_view prompt, std::string_view text, size_t size, uint64_t seed) {
  TextReader reader(syntax, tools, prompt);
  SaidAnswer said;
  CounterRandom random(seed);
  uint64_t next = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = size > 0 ? size : 1 + random.bits(next++) % 9;
    append(reader.push(text.substr(at, bytes)), &said);
    at += bytes;
  }
  append(reader.finish(), &said);
  if (!said.growth.empty()) said.growth += ")";
  return said;
}

}  // namespace potluck::test
