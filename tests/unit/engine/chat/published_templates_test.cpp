// Published chat templates, which are not part of this repository. Reads every *.jinja in the
// folder that the environment variable POTLUCK_CHAT_TEMPLATES names, such as models/templates of a
// clone of llama.cpp, and prints what became of each. Without it the test is skipped.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/unit/engine/chat/syntax_samples.h"

namespace potluck {
namespace {

using test::SaidAnswer;

// Of families that the engine runs: these must be found and make the round trip.
constexpr std::string_view kMust[] = {"Qwen3-Coder",
                                      "Qwen3.5-4B",
                                      "Qwen-Qwen3-0.6B",
                                      "Qwen-Qwen2.5-7B-Instruct",
                                      "Qwen-QwQ-32B",
                                      "GLM-4.6",
                                      "GLM-4.7-Flash",
                                      "Kimi-K2-Instruct",
                                      "Kimi-K2-Thinking",
                                      "moonshotai-Kimi-K2",
                                      "MiniMax-M2",
                                      "deepseek-ai-DeepSeek-V3.1",
                                      "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
                                      "llama-cpp-deepseek-r1",
                                      "meta-llama-Llama-3.1-8B-Instruct",
                                      "meta-llama-Llama-3.2-3B-Instruct",
                                      "meta-llama-Llama-3.3-70B-Instruct",
                                      "mistralai-Mistral-Nemo-Instruct-2407",
                                      "Mistral-Small-3.2-24B-Instruct-2506",
                                      "mistralai-Ministral-3-14B-Reasoning-2512",
                                      "openai-gpt-oss-120b",
                                      "ibm-granite-granite-4.0"};

std::string read_file(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::optional<std::string> rendered(const ChatTemplate& made, const SaidAnswer& said) {
  Conversation conversation;
  conversation.tools = test::sample_tools();
  conversation.add_generation_prompt = false;
  conversation.messages.push_back({"user", JsonValue{std::string("Hello")}, {}, {}, {}, {}});
  conversation.messages.push_back({"assistant", JsonValue{said.content}, {}, said.calls, {}, {}});
  auto text = made.render(conversation, {"<s>", "</s>", 1'769'000'000});
  if (!text) return std::nullopt;
  return std::string(text->bytes());
}

// The part of the first text that the second does not have.
std::string difference(const std::string& first, const std::string& second) {
  const auto [front, unused] = std::ranges::mismatch(first, second);
  const auto begin = static_cast<size_t>(front - first.begin());
  size_t end = first.size();
  for (size_t other = second.size(); end > begin && other > begin; --end, --other) {
    if (first[end - 1] != second[other - 1]) break;
  }
  return first.substr(begin, end - begin);
}

// Empty: it is the same; else what differs.
std::string round_trip(const ChatTemplate& made, const SaidAnswer& said) {
  SaidAnswer plain;
  plain.content = "7f3a";
  const auto written = rendered(made, said);
  const auto counter = rendered(made, plain);
  if (!written || !counter) return "refuses";
  std::string answer = difference(*written, *counter);
  // Both may end with the same half of a mark.
  const size_t open = answer.rfind('<');
  if (open != std::string::npos && answer.find('>', open) == std::string::npos) {
    const size_t begin = written->rfind(answer);
    answer = written->substr(begin, written->find('>', begin + open) + 1 - begin);
  }
  for (const size_t size : {size_t{1}, size_t{0}, answer.size()}) {
    const SaidAnswer read = test::read_answer(made.answer_syntax(), test::sample_tools(), "",
                                              answer, std::max<size_t>(size, size == 0 ? 0 : 1));
    if (test::shown(read.calls) != test::shown(said.calls)) {
      return "reads " + test::shown(read) + " from " + answer;
    }
    SaidAnswer again;
    again.content = said.content;
    again.calls = read.calls;
    for (size_t i = 0; i < again.calls.size(); ++i) again.calls[i].id = said.calls[i].id;
    if (rendered(made, again) != written) return "writes another text";
  }
  return {};
}

SaidAnswer calls(std::initializer_list<const char*> all) {
  SaidAnswer said;
  for (const char* arguments : all) {
    said.calls.push_back(
        {"call1234" + std::to_string(said.calls.size()), "look", test::json(arguments)});
  }
  return said;
}

constexpr const char* kSimple = R"({"place": "Paris", "count": 7})";
constexpr const char* kHard =
    R"({"place": "a \"b\" {x} Zürich\n<b>", "list": ["]", "}"], "code": "\n  if x:\n", "sure": true})";

std::string outcome(const ChatTemplate& made) {
  const AnswerSyntax& syntax = made.answer_syntax();
  if (!syntax.marks_calls()) return "no calls in a known form";
  if (const std::string one = round_trip(made, calls({kSimple})); !one.empty()) {
    return "one call: " + one;
  }
  if (const std::string hard = round_trip(made, calls({kHard})); !hard.empty()) {
    return "hard arguments: " + hard;
  }
  const std::string two = round_trip(made, calls({kSimple, kHard}));
  const char* form = syntax.has_channels         ? "channels"
                     : syntax.calls->is_tagged() ? "tags"
                     : syntax.calls->bare        ? "bare"
                                                 : "JSON";
  return std::string("ok, ") + form + (two.empty() ? ", several calls" : ", one call to a message");
}

TEST(PublishedTemplates, RoundTrip) {
  const char* folder = std::getenv("POTLUCK_CHAT_TEMPLATES");
  if (folder == nullptr) GTEST_SKIP() << "POTLUCK_CHAT_TEMPLATES names no folder of templates";
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".jinja") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  ASSERT_FALSE(paths.empty());
  for (const auto& path : paths) {
    const std::string name = path.stem();
    const auto made = ChatTemplate::parse(read_file(path));
    const std::string found = made ? outcome(*made) : "no template: " + made.error().message;
    std::cout << name << ": " << found << "\n";
    if (std::ranges::find(kMust, name) != std::end(kMust)) {
      EXPECT_TRUE(found.starts_with("ok")) << name << ": " << found;
    }
  }
}

}  // namespace
}  // namespace potluck
