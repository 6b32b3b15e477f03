#include "coordinator/cli/command_catalog.h"

#include <CLI/CLI.hpp>

#include "coordinator/cli/flags.h"

namespace potluck {
namespace {

constexpr const char* kEmptyList = "[]";  // how CLI11 writes a default without elements

std::vector<std::string> words_between_bars(const std::string& kind) {
  std::vector<std::string> words;
  if (kind.find('|') == std::string::npos) return words;
  size_t begin = 0;
  for (size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = kind.find('|', begin);
    words.push_back(kind.substr(begin, end == std::string::npos ? end : end - begin));
  }
  return words;
}

// The default is kept where the help does not show it: capturing it would make it part of the help
// from then on.
std::string take_default(CLI::Option& option) {
  option.capture_default_str();
  std::string value = option.get_default_str();
  option.default_str("");
  return value == kEmptyList ? "" : value;
}

}  // namespace

std::vector<CLI::Option*> all_options(CLI::App& parser) {
  std::vector<CLI::Option*> options = parser.get_options();
  for (CLI::App* group : parser.get_subcommands(nullptr)) {
    if (!group->get_name().empty()) continue;
    for (CLI::Option* option : group->get_options()) options.push_back(option);
  }
  return options;
}

CatalogFlag describe_flag(CLI::Option& option) {
  CatalogFlag flag;
  flag.operand = option.get_positional();
  if (flag.operand) {
    flag.name = option.get_name(true);
  } else {
    if (!option.get_lnames().empty()) flag.name = "--" + option.get_lnames().front();
    if (!option.get_snames().empty()) flag.short_name = "-" + option.get_snames().front();
  }
  const bool is_switch = option.get_type_size() == 0 || option.get_expected_max() == 0;
  if (!is_switch) {
    flag.kind = option.get_type_name();
    flag.choices = words_between_bars(flag.kind);
    flag.default_value = take_default(option);
  }
  flag.help = option.get_description();
  flag.variable = option.get_envname();
  flag.group = option.get_group();
  flag.required = option.get_required();
  flag.repeats = option.get_items_expected_max() > 1;
  return flag;
}

CatalogCommand describe_command(CLI::App& parser) {
  CatalogCommand command{parser.get_name(), parser.get_description(), {}};
  for (CLI::Option* option : all_options(parser)) command.flags.push_back(describe_flag(*option));
  return command;
}

Catalog describe_program(CLI::App& app) {
  Catalog catalog;
  catalog.program = app.get_name();
  catalog.help = app.get_description();
  catalog.without_arguments = app.get_footer();
  for (CLI::Option* option : app.get_options()) catalog.flags.push_back(describe_flag(*option));
  for (CLI::App* parser : app.get_subcommands(nullptr)) {
    catalog.commands.push_back(describe_command(*parser));
  }
  return catalog;
}

std::string default_in_words(const std::string& help) {
  constexpr std::string_view kBegin = "(default";
  const size_t begin = help.rfind(kBegin);
  const size_t end = begin == std::string::npos ? begin : help.find(')', begin);
  if (end == std::string::npos) return "";
  std::string words = help.substr(begin + kBegin.size(), end - begin - kBegin.size());
  const size_t first = words.find_first_not_of(":, ");
  return first == std::string::npos ? "" : words.substr(first);
}

bool may_be_file(const CatalogFlag& flag) {
  return flag.kind == kTextKind && flag.choices.empty();
}

}  // namespace potluck
