#include "coordinator/cli/chat_flags.h"

#include <ctime>

#include <fmt/format.h>

#include "coordinator/cli/flags.h"
#include "engine/base/bytes.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr const char* kTemplateKey = "tokenizer.chat_template";

// "KEY=JSON" of --template-arg.
Result<std::pair<std::string, JsonValue>> parse_argument(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--template-arg: expected KEY=JSON, found '{}'", text)};
  }
  auto value = parse_json(std::string_view(text).substr(equals + 1));
  if (!value) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--template-arg {}: {} (texts take quotes: KEY='\"high\"')",
                             text.substr(0, equals), value.error().message)};
  }
  return std::pair{text.substr(0, equals), std::move(*value)};
}

}  // namespace

void add_chat_flags(CLI::App* parser, ChatFlags* flags) {
  add_switch(parser, "--raw", &flags->raw, "complete the prompt as it is, without a chat template");
  add_text(parser, "--system", &flags->system, "the system message of the conversation");
  add_text(parser, "--chat-template-file", &flags->template_file,
           "a chat template instead of the model's own");
  add_text(parser, "--template-arg", &flags->arguments,
           "KEY=JSON for the template, such as enable_thinking=false; may be repeated");
  add_text(parser, "--tools", &flags->tools_file,
           "a JSON file with the tools that the model may call, as OpenAI's API has them");
  add_text(parser, "--tool-command", &flags->tool_command,
           "a command of the shell that answers calls: each comes on its standard input as "
           "{\"name\": .., \"arguments\": {..}} (default: you are asked, at a terminal)");
}

Status check_chat_flags(const ChatFlags& flags) {
  const bool chats = flags.system.has_value() || !flags.template_file.empty() ||
                     !flags.arguments.empty() || !flags.tools_file.empty();
  if (flags.raw && chats) {
    return Error{
        ErrorCode::kInvalidArgument,
        "--raw: takes no --system, --chat-template-file, --template-arg and --tools, which "
        "are about chat templates"};
  }
  if (!flags.tool_command.empty() && flags.tools_file.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--tool-command: needs --tools FILE"};
  }
  for (const std::string& argument : flags.arguments) {
    if (auto parsed = parse_argument(argument); !parsed) return parsed.error();
  }
  return {};
}

std::optional<Result<ChatTemplate>> model_chat_template(const GgufMetadata& metadata) {
  if (!metadata.contains(kTemplateKey)) return std::nullopt;
  auto source = metadata.text(kTemplateKey);
  if (!source) return source.error();
  return ChatTemplate::parse(*source);
}

Result<std::optional<ChatTemplate>> choose_chat_template(const ChatFlags& flags,
                                                         const GgufMetadata& metadata,
                                                         Storage& storage) {
  if (flags.raw) return std::optional<ChatTemplate>();
  if (!flags.template_file.empty()) {
    auto bytes = read_file(storage, flags.template_file, limits::kTemplateBytes);
    if (!bytes) return bytes.error();
    auto parsed = ChatTemplate::parse(as_text(*bytes));
    if (!parsed) return parsed.error().in(flags.template_file);
    return std::optional<ChatTemplate>(std::move(*parsed));
  }
  auto own = model_chat_template(metadata);
  if (own && !*own) return with_way_out(own->error().in("the model's chat template"));
  if (own) return std::optional<ChatTemplate>(std::move(**own));
  if (!flags.system && flags.arguments.empty() && flags.tools_file.empty()) {
    return std::optional<ChatTemplate>();
  }
  const char* flag = flags.system               ? "--system"
                     : !flags.arguments.empty() ? "--template-arg"
                                                : "--tools";
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("{}: the model has no chat template; --chat-template-file gives it one", flag)};
}

Conversation begin_conversation(const ChatFlags& flags) {
  Conversation conversation;
  if (flags.system) {
    conversation.messages.push_back({"system", JsonValue{*flags.system}, {}, {}, {}, {}});
  }
  for (const std::string& argument : flags.arguments) {
    auto parsed = parse_argument(argument);
    CHECK(parsed.ok());
    conversation.arguments.push_back(std::move(*parsed));
  }
  return conversation;
}

Error with_way_out(const Error& error) {
  return {ErrorCode::kUnsupported,
          error.message +
              " (--raw completes the prompt without a template, --chat-template-file "
              "FILE gives another)"};
}

int64_t local_seconds(const Clock& clock) {
  // A template knows no time zones. Shifted by the zone's offset, its arithmetic gives the local
  // date.
  const auto now = static_cast<std::time_t>(clock.unix_seconds());
  std::tm parts{};
  localtime_r(&now, &parts);
  return clock.unix_seconds() + parts.tm_gmtoff;
}

}  // namespace potluck
