// Small templates, one for each way in which published ones write tool calls, and what tests do
// with them: a conversation to a prompt and an answer, and an answer to its parts. Test code, one
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/random.h"
#include "engine/chat/chat_template.h"

namespace potluck::test {

struct SyntaxSample {
  std::string name;
  std::string source;
  bool single = false;   // one call to a message
  bool tagged = false;   // arguments one by one
  bool no_text = false;  // loses calls beside a text
};
const std::vector<SyntaxSample>& syntax_samples();
const SyntaxSample& syntax_sample(std::string_view name);

// "look", with arguments of every type, and "wait", which takes any.
std::vector<JsonValue> sample_tools();
JsonValue json(std::string_view text);
ChatTemplate parsed_template(std::string_view source);

// What a model says: parts as they are after reading.
struct SaidAnswer {
  std::string reasoning = {};
  std::string content = {};
  std::vector<ToolCall> calls = {};
  std::string growth = {};  // of the calls: "name(arguments)", one after the other
};
std::string shown(const SaidAnswer& answer);
std::string shown(const std::vector<ToolCall>& calls);

// Where the answer is read from: what follows the prompt.
struct WrittenAnswer {
  std::string prompt;
  std::string answer;  // without the end of the turn
};
// The turn of a user, and this answer to it. Empty where the template refuses.
WrittenAnswer written(const ChatTemplate& made, const SaidAnswer& answer,
                      const std::vector<JsonValue>& tools);

// Cuts the text into pieces of `size` bytes; 0: at random places, from the seed.
SaidAnswer read_answer(const AnswerSyntax& syntax, const std::vector<JsonValue>& tools,
                       std::string_view prompt, std::string_view text, size_t size,
                       uint64_t seed = 1);

}  // namespace potluck::test
