#include "coordinator/cli/chat_command.h"

#include <array>
#include <vector>

#include <fmt/format.h>

#include "coordinator/cli/nearest_name.h"

namespace potluck {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

constexpr std::array<ChatCommandHelp, 10> kChatCommands{{
    {ChatVerb::kHelp, "/help", "/?", "", "this list"},
    {ChatVerb::kNew, "/new", "/clear /reset", "", "forgets the conversation"},
    {ChatVerb::kRegenerate, "/regenerate", "/regen /retry", "",
     "answers the last message again, with another seed"},
    {ChatVerb::kUndo, "/undo", "", "", "takes the last message and its answer back"},
    {ChatVerb::kSystem, "/system", "", "TEXT",
     "the system message from now on; - for none; without TEXT it is shown"},
    {ChatVerb::kSave, "/save", "", "FILE", "writes the conversation to a file"},
    {ChatVerb::kLoad, "/load", "", "FILE", "goes on with one that was saved"},
    {ChatVerb::kSet, "/set", "", "NAME VALUE",
     "temp, top-k, top-p, min-p, repeat-penalty, seed or max-tokens; without: shows them"},
    {ChatVerb::kStats, "/stats", "", "", "speed and size of the last answer, and the pool"},
    {ChatVerb::kExit, "/exit", "/quit /bye", "", "ends the conversation"},
}};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool is_called(const ChatCommandHelp& command, std::string_view name) {
  if (command.name == name) return true;
  for (std::string_view rest = command.other_names; !rest.empty();) {
    const size_t end = rest.find(' ');
    if (rest.substr(0, end) == name) return true;
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return false;
}

}  // namespace

std::span<const ChatCommandHelp> chat_commands() {
  return kChatCommands;
}

std::optional<ChatCommand> parse_chat_command(std::string_view message) {
  if (message.size() < 2 || message[0] != '/') return std::nullopt;
  const std::string_view name = message.substr(0, message.find_first_of(kSpace));
  const bool is_word = name.size() >= 2 && (is_letter(name[1]) || name == "/?");
  if (!is_word || name.find('/', 1) != std::string_view::npos) return std::nullopt;
  ChatCommand command;
  command.name = name;
  command.argument = trim(message.substr(name.size()));
  for (const ChatCommandHelp& known : kChatCommands) {
    if (is_called(known, name)) command.verb = known.verb;
  }
  return command;
}

std::string unknown_command(const std::string& name) {
  std::vector<std::string> known;
  known.reserve(kChatCommands.size());
  for (const ChatCommandHelp& command : kChatCommands) known.emplace_back(command.name);
  return fmt::format(
      "not sent: there is no command {}{} (/help lists them; with a space in front it is a "
      "message)",
      name, suggestion(name, known));
}

std::string chat_help() {
  std::string text;
  for (const ChatCommandHelp& command : kChatCommands) {
    const std::string usage = fmt::format("{} {}", command.name, command.argument);
    text += fmt::format("  {:<18} {}\n", usage, command.help);
  }
  text +=
      "  Ctrl-C stops an answer; Alt-Enter, a \\ at the end of a line, or \"\"\" before and after "
      "several make one message of them";
  return text;
}

}  // namespace potluck
