#include "coordinator/cli/printed_config.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include <fmt/format.h>

#include "coordinator/cli/command_catalog.h"
#include "coordinator/cli/flags.h"
#include "engine/base/terminal_text.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

struct ConfigLine {
  std::string setting;  // "threads = 4"
  std::string origin;
};

std::string toml_list(const std::vector<std::string>& values) {
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const std::string& value : values) texts.push_back(toml_text(value));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

// With what they came from in a column of its own.
std::string write_lines(const std::vector<ConfigLine>& lines) {
  constexpr size_t kWidest = 40;
  size_t width = 0;
  for (const ConfigLine& line : lines) {
    if (line.setting.size() <= kWidest) width = std::max(width, line.setting.size());
  }
  std::string out;
  for (const ConfigLine& line : lines) {
    out += fmt::format("{:<{}}  # {}\n", line.setting, width, line.origin);
  }
  return out;
}

std::string toml_value(const CLI::Option& option, const CatalogFlag& flag,
                       const std::vector<std::string>& values) {
  if (flag.kind.empty()) return values.empty() || values.front() != "false" ? "true" : "false";
  if (flag.repeats) return toml_list(values);
  const std::string value = values.empty() ? "" : values.front();
  const bool is_number = is_bare_number_flag(option) && !value.empty() &&
                         value.find_first_not_of("0123456789.") == std::string::npos;
  return is_number && !value.ends_with('.') && !value.starts_with('.') ? value : toml_text(value);
}

// A switch that nothing set is off; other flags have a default that can be written down, or one
// that can only be described.
ConfigLine default_line(const CLI::Option& option, const CatalogFlag& flag,
                        const std::string& key) {
  const std::string words = default_in_words(flag.help);
  const std::string origin =
      words.empty() || words == flag.default_value ? "default" : "default: " + words;
  if (flag.kind.empty()) return {"#" + key + " = false", "default"};
  if (flag.default_value.empty()) return {"#" + key + " =", words.empty() ? "not set" : origin};
  return {"#" + key + " = " + toml_value(option, flag, {flag.default_value}), origin};
}

}  // namespace

std::string toml_text(const std::string& text) {
  std::string bytes = text, out = "\"";
  std::string rest = take_characters(&bytes);
  if (!bytes.empty()) rest += kReplacementCharacter;  // a character that was cut off
  for (size_t i = 0; i < rest.size(); i += utf8_length(rest[i])) {
    const std::string character = rest.substr(i, utf8_length(rest[i]));
    const uint32_t code = decode_utf8(character);
    if (code == '"' || code == '\\') {
      out += "\\" + character;
    } else if (is_terminal_control(code)) {
      out += fmt::format("\\u{:04X}", code);
    } else {
      out += character;
    }
  }
  return out + "\"";
}

std::string printed_config(CLI::App& command, const ValueSources& sources) {
  std::vector<ConfigLine> lines;
  const std::vector<CLI::Option*> own = command.get_options();
  for (CLI::Option* option : all_options(command)) {
    const CatalogFlag flag = describe_flag(*option);
    if (flag.name == "--help") continue;
    const std::string key = flag.operand ? flag.name : flag.name.substr(2);
    // Of a group of which each call names one, the file may name none.
    const bool configurable = !flag.operand && option->get_configurable() &&
                              std::find(own.begin(), own.end(), option) != own.end();
    auto source = sources.find(option);
    if (source == sources.end()) {
      if (configurable)
        lines.push_back(default_line(*option, flag, key));
      else
        lines.push_back({"#" + key + " =", "not set"});
      continue;
    }
    lines.push_back(
        {(configurable ? "" : "#") + key + " = " + toml_value(*option, flag, option->results()),
         source->second});
  }
  return fmt::format("[{}]\n", command.get_name()) + write_lines(lines);
}

std::string printed_table(std::string_view name, const std::string& path,
                          const std::vector<Setting>& settings) {
  std::vector<ConfigLine> lines;
  for (const Setting& setting : settings) {
    std::string value = setting.values.front();
    if (setting.kind == Setting::Kind::kList) value = toml_list(setting.values);
    if (setting.kind == Setting::Kind::kText) value = toml_text(value);
    lines.push_back(
        {setting.key + " = " + value, fmt::format("{}:{}", terminal_line(path), setting.line)});
  }
  return fmt::format("\n[[{}]]\n{}", name, write_lines(lines));
}

}  // namespace potluck
