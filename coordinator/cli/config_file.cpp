#include "coordinator/cli/config_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/printable.h"

// The parser asserts what broken files ("[.a]") do not keep to, right in front of the code that
// makes an error of it; with NDEBUG it would promise the same to the optimizer.
#undef NDEBUG
#define TOML_ASSERT(condition) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace potluck {
namespace {

constexpr uint64_t kConfigBytes = kMiB;  // all flags of all commands take some KiB

Error at_line(const std::string& path, uint32_t line, const std::string& message) {
  return {ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", path, line, message)};
}

// The parser would skip a mark, and take the rest of other encodings for garbage.
Status check_encoding(const std::string& path, std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    return at_line(path, 1, "a byte order mark (EF BB BF) stands in front; save it without one");
  }
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return at_line(path, 1, "expected UTF-8, found UTF-16; save it as UTF-8");
  }
  return {};
}

// One element of a list, or a value of its own.
bool take_scalar(const toml::node& node, Setting* setting) {
  if (const auto* text = node.as_string()) {
    setting->kind = Setting::Kind::kText;
    setting->values.push_back(text->get());
  } else if (const auto* whole = node.as_integer();
             whole != nullptr && whole->flags() == toml::value_flags::none) {
    setting->kind = Setting::Kind::kNumber;
    setting->values.push_back(std::to_string(whole->get()));
  } else if (const auto* decimal = node.as_floating_point()) {
    setting->kind = Setting::Kind::kNumber;
    setting->values.push_back(fmt::format("{:#}", decimal->get()));  // 4.0 is no whole number
  } else if (const auto* truth = node.as_boolean()) {
    setting->kind = Setting::Kind::kSwitch;
    setting->values.push_back(truth->get() ? "true" : "false");
  } else {
    return false;
  }
  return true;
}

bool take_value(const toml::node& node, Setting* setting) {
  const toml::array* list = node.as_array();
  if (list == nullptr) return take_scalar(node, setting);
  for (const toml::node& element : *list) {
    // Only texts can be given several times.
    if (!element.is_string() || !take_scalar(element, setting)) return false;
  }
  setting->kind = Setting::Kind::kList;
  return true;
}

Status take_table(const std::string& path, const std::string& name, const toml::table& table,
                  std::vector<Setting>* settings) {
  for (const auto& [key, node] : table) {
    Setting setting;
    setting.table = name;
    setting.key = std::string(key.str());
    setting.line = key.source().begin.line;
    if (node.is_table()) {
      return at_line(path, setting.line,
                     fmt::format("[{}.{}]: expected tables of one name, such as [{}]",
                                 printable(name), printable(setting.key), printable(name)));
    }
    if (!take_value(node, &setting)) {
      return at_line(path, setting.line,
                     fmt::format("{}: expected a text in quotes, a decimal number, true, false or "
                                 "a list of texts",
                                 printable(setting.key)));
    }
    settings->push_back(std::move(setting));
  }
  return {};
}

Status take_tables(const std::string& path, const std::string& name, const toml::array& tables,
                   std::vector<Setting>* settings) {
  for (const toml::node& node : tables) {
    settings->push_back({name, "", node.source().begin.line, Setting::Kind::kTable, {}});
    Status taken = take_table(path, name, *node.as_table(), settings);
    if (!taken) return taken;
  }
  return {};
}

}  // namespace

Result<std::vector<Setting>> parse_config(const std::string& path, std::string_view text,
                                          TableForm form) {
  if (Status encoding = check_encoding(path, text); !encoding) return encoding.error();
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return at_line(path, parsed.error().source().begin.line,
                   std::string(parsed.error().description()));
  }
  std::vector<Setting> settings;
  for (const auto& [name, node] : parsed.table()) {
    const uint32_t line = name.source().begin.line;
    const std::string shown = printable(name.str());
    const toml::table* table = node.as_table();
    if (table != nullptr && form == TableForm::kCommands && name == kUpstreamTable) {
      return at_line(path, line, fmt::format("[{}]: expected [[{}]]", shown, shown));
    }
    if (table == nullptr && node.is_array_of_tables()) {
      const bool upstream = form == TableForm::kCommands && name == kUpstreamTable;
      if (form == TableForm::kSingleOrRepeated || upstream) {
        Status taken = take_tables(path, std::string(name.str()), *node.as_array(), &settings);
        if (!taken) return taken.error();
        continue;
      }
      return at_line(path, line, fmt::format("[[{}]]: expected [{}]", shown, shown));
    }
    if (table == nullptr) {
      return at_line(path, line,
                     fmt::format("{}: stands outside of a table; put it below the name of a "
                                 "command, such as [run]",
                                 shown));
    }
    settings.push_back({std::string(name.str()), "", line, Setting::Kind::kTable, {}});
    Status taken = take_table(path, std::string(name.str()), *table, &settings);
    if (!taken) return taken.error();
  }
  // Tables come from the parser in the order of their names; errors should come in that of the
  // lines.
  std::stable_sort(settings.begin(), settings.end(),
                   [](const Setting& a, const Setting& b) { return a.line < b.line; });
  return settings;
}

Result<std::vector<Setting>> read_config_file(Storage& storage, const std::string& path) {
  Result<ByteVector> bytes = read_file(storage, path, kConfigBytes);
  if (!bytes) return bytes.error();
  return parse_config(path, as_text(*bytes), TableForm::kCommands);
}

}  // namespace potluck
