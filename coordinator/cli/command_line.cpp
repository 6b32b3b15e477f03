#include "coordinator/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/command_catalog.h"
#include "coordinator/cli/config_file.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/nearest_name.h"
#include "coordinator/cli/printed_config.h"
#include "engine/base/printable.h"
#include "engine/base/terminal_text.h"

namespace potluck {
namespace {

constexpr std::string_view kPrefix = "POTLUCK_";
// Variables that set no flag: directories, a token, and those of the project's scripts and tests.
constexpr const char* kOtherVariables[] = {
    "POTLUCK_HOME",   "POTLUCK_MODELS",      "POTLUCK_SOURCE_TOKEN", "POTLUCK_BINARY",
    "POTLUCK_PRESET", "POTLUCK_BENCH_MODEL", "POTLUCK_BENCH_TEXT"};

constexpr const char* kPrintConfig = "--print-config";

Error wrong_use(const std::string& message) {
  return {ErrorCode::kInvalidArgument, message};
}

std::string long_name(const CLI::Option& option) {
  return option.get_lnames().empty() ? std::string() : option.get_lnames().front();
}

// The parser would read the variables itself, but its errors name the flag instead. While one of
// these is alive, it does not know them.
class HiddenVariables {
 public:
  explicit HiddenVariables(const std::vector<Command>& commands) {
    for (const Command& command : commands) {
      for (CLI::Option* option : command.parser->get_options()) {
        if (option->get_envname().empty()) continue;
        names_[option] = option->get_envname();
        option->envname("");
      }
    }
  }
  ~HiddenVariables() {
    for (const auto& [option, name] : names_) option->envname(name);
  }
  HiddenVariables(const HiddenVariables&) = delete;
  HiddenVariables& operator=(const HiddenVariables&) = delete;

 private:
  std::map<CLI::Option*, std::string> names_;
};

std::vector<std::string> names_of(const std::vector<Command>& commands) {
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const Command& command : commands) names.push_back(command.parser->get_name());
  return names;
}

// What the configuration file may set for a command: its flags, but not what a call is about (the
// group of which each call names one) and not --help.
CLI::Option* find_flag(const Command& command, const std::string& key) {
  for (CLI::Option* option : command.parser->get_options()) {
    if (option->get_configurable() && !key.empty() && long_name(*option) == key) return option;
  }
  return nullptr;
}

std::vector<std::string> flags_of(const Command& command) {
  std::vector<std::string> names;
  for (CLI::Option* option : command.parser->get_options()) {
    if (find_flag(command, long_name(*option)) != nullptr) names.push_back(long_name(*option));
  }
  return names;
}

const Command* find_command(const std::vector<Command>& commands, std::string_view name) {
  for (const Command& command : commands) {
    if (command.parser->get_name() == name) return &command;
  }
  return nullptr;
}

// Gives an option a value that was checked.
Status give(CLI::Option* option, const std::vector<std::string>& values) {
  try {
    for (const std::string& value : values) option->add_result(value);
    // Parsing is over, so the parser will not do it any more.
    if (!values.empty()) option->run_callback();
  } catch (const CLI::Error& error) {
    return wrong_use(error.what());
  }
  return {};
}

// Compares the kind of value that the flag takes with the kind that the file has; empty if they
// agree.
std::string find_mismatch(const CLI::Option& option, Setting::Kind kind) {
  const bool is_switch = option.get_expected_max() == 0 || option.get_type_size() == 0;
  const bool repeats = option.get_items_expected_max() > 1;
  switch (kind) {
    case Setting::Kind::kTable:
      return "";
    case Setting::Kind::kSwitch:
      return is_switch ? "" : "expected a value, found true or false";
    case Setting::Kind::kNumber:
      if (is_bare_number_flag(option)) return "";
      return is_switch ? "expected true or false, found a number"
                       : "expected a text in quotes, found a number";
    case Setting::Kind::kText:
      return is_switch ? "expected true or false, found a text" : "";
    case Setting::Kind::kList:
      return repeats ? "" : "expected one value, found a list";
  }
  return "";
}

std::string place_of(const Setting& setting, const std::string& path) {
  return fmt::format("{}:{}: ", path, setting.line);
}

// Where a setting goes; null for the head of a table. The error names file, line and key.
Result<CLI::Option*> find_target(const Setting& setting, const std::string& path,
                                 const std::vector<Command>& commands) {
  const std::string table = printable(setting.table);
  const Command* command = find_command(commands, setting.table);
  if (command == nullptr) {
    return wrong_use(fmt::format("{}[{}]: no such command{}", place_of(setting, path), table,
                                 suggestion(setting.table, names_of(commands))));
  }
  if (setting.kind == Setting::Kind::kTable) return static_cast<CLI::Option*>(nullptr);
  CLI::Option* option = find_flag(*command, setting.key);
  if (option != nullptr) return option;
  return wrong_use(fmt::format("{}{}: [{}] has no such key{}", place_of(setting, path),
                               printable(setting.key), table,
                               suggestion(setting.key, flags_of(*command))));
}

// Whether the flag takes what the file has for it.
Status check_values(const Setting& setting, const std::string& path, CLI::Option& option) {
  std::string fault = find_mismatch(option, setting.kind);
  for (size_t i = 0; fault.empty() && i < setting.values.size(); ++i) {
    if (setting.kind != Setting::Kind::kSwitch) fault = find_fault(option, setting.values[i]);
  }
  if (fault.empty()) return {};
  return wrong_use(place_of(setting, path) + printable(setting.key) + ": " + fault);
}

// All of the file is checked, whichever command runs; what is for this one is taken. Only a value
// that a flag or a variable replaces is not looked at.
Status take_config(const std::string& path, bool must_exist, const std::vector<Command>& commands,
                   const Command& chosen, const Program& program, Storage& storage,
                   ValueSources* sources) {
  auto settings = read_config_file(storage, path);
  if (!settings) {
    const bool absent = settings.error().code == ErrorCode::kNotFound;
    if (absent && !must_exist) return {};
    const bool is_content = settings.error().code == ErrorCode::kInvalidArgument;
    return wrong_use((is_content ? "" : "configuration file ") + settings.error().message);
  }
  if (program.take_tables) {
    if (Status taken = program.take_tables(path, *settings); !taken) return taken;
  }
  for (const Setting& setting : *settings) {
    if (program.take_tables && setting.table == kUpstreamTable) continue;
    Result<CLI::Option*> option = find_target(setting, path, commands);
    if (!option) return option.error();
    if (*option == nullptr || (*option)->count() > 0) continue;
    if (Status fits = check_values(setting, path, **option); !fits) return fits;
    // A switch that is off is one that was not given.
    const bool is_off = setting.values == std::vector<std::string>{"false"};
    if (setting.table != chosen.parser->get_name() || is_off) continue;
    if (Status given = give(*option, setting.values); !given) return given;
    (*sources)[*option] = fmt::format("{}:{}", terminal_line(path), setting.line);
  }
  return {};
}

Status take_variables(const std::map<std::string, std::string>& variables, const Command& chosen,
                      ValueSources* sources) {
  for (CLI::Option* option : chosen.parser->get_options()) {
    auto found = variables.find(option->get_envname());
    // An empty variable counts as one that is not set, as scripts use it.
    if (found == variables.end() || found->second.empty() || option->count() > 0) continue;
    std::string fault = find_fault(*option, found->second);
    if (!fault.empty()) return wrong_use(found->first + ": " + fault);
    if (Status given = give(option, {found->second}); !given) return given;
    (*sources)[option] = found->first;
  }
  return {};
}

ValueSources given_flags(const Command& chosen) {
  ValueSources sources;
  for (const CLI::Option* option : all_options(*chosen.parser)) {
    if (option->count() > 0) sources[option] = "command line";
  }
  return sources;
}

// Takes the word out wherever it stands in front of "--", since it is about the program, and people
// put it behind the command.
bool take_print_config(std::vector<std::string>* arguments) {
  const auto end = std::find(arguments->begin(), arguments->end(), "--");
  const auto rest = std::remove(arguments->begin(), end, kPrintConfig);
  if (rest == end) return false;
  arguments->erase(rest, end);
  return true;
}

// To look at the flags of a command, no MODEL has to be given.
void require_nothing(CLI::App& app, const std::vector<Command>& commands) {
  app.require_subcommand(0, 1);
  for (const Command& command : commands) {
    for (CLI::Option* option : all_options(*command.parser)) option->required(false);
    for (CLI::App* group : command.parser->get_subcommands(nullptr)) group->require_option(0, 0);
  }
}

std::vector<std::string> unknown_variables(const std::map<std::string, std::string>& variables,
                                           const std::vector<Command>& commands) {
  std::vector<std::string> known(std::begin(kOtherVariables), std::end(kOtherVariables));
  for (const Command& command : commands) {
    for (const CLI::Option* option : command.parser->get_options()) {
      if (!option->get_envname().empty()) known.push_back(option->get_envname());
    }
  }
  std::vector<std::string> notices;
  for (const auto& [name, value] : variables) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    notices.push_back(fmt::format("{}: no such variable, it has no effect{}", printable(name),
                                  suggestion(name, known)));
  }
  return notices;
}

// The parser's error for an unknown flag, with the one that may have been meant.
std::string suggest_flag(const std::vector<std::string>& arguments,
                         const std::vector<Command>& commands) {
  const Command* command = arguments.empty() ? nullptr : find_command(commands, arguments[0]);
  if (command == nullptr) return "";
  for (const std::string& argument : arguments) {
    const std::string name = argument.substr(0, argument.find('='));
    if (!name.starts_with("--") || command->parser->get_option_no_throw(name) != nullptr) continue;
    const std::string nearest = nearest_name(name.substr(2), flags_of(*command));
    return nearest.empty() ? "" : fmt::format("; did you mean --{}?", nearest);
  }
  return "";
}

// Nothing for a command that was parsed, help where that was asked for.
Result<std::string> parse_arguments(CLI::App& app, const std::vector<Command>& commands,
                                    const std::vector<std::string>& arguments) {
  try {
    HiddenVariables hidden(commands);
    // CLI11 takes a vector from its end.
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(std::move(reversed));
  } catch (const CLI::ExtrasError& error) {
    return wrong_use(error.what() + suggest_flag(arguments, commands));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return wrong_use(error.what());
    std::ostringstream help;
    app.exit(error, help, help);
    return help.str();
  }
  return std::string();
}

}  // namespace

std::map<std::string, std::string> own_variables() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

CommandLineParser::CommandLineParser(Environment& environment, Program program)
    : program_(std::move(program)), app_(std::make_unique<CLI::App>(program_.help, program_.name)) {
  app_->require_subcommand(1);
  app_->footer(program_.without_arguments);
  add_text(app_.get(), "--config", &config_,
           fmt::format("a file with defaults of flags (default: ~/.config/potluck/{}.toml)",
                       program_.name));
  add_switch(app_.get(), "--no-config", &no_config_, "read no such file");
  add_switch(app_.get(), kPrintConfig, &print_config_,
             "show the value of every flag of the command, or of all commands, and where it came "
             "from, as such a file, and do nothing else");
  for (CommandAdder add : program_.commands) commands_.push_back(add(*app_, environment));
}

CommandLineParser::~CommandLineParser() = default;

std::string CommandLineParser::help() const {
  return app_->help();
}

Catalog CommandLineParser::catalog() {
  return describe_program(*app_);
}

const std::string& CommandLineParser::config_path(const CommandLineInput& input) const {
  return app_->get_option("--config")->count() > 0 ? config_ : input.config_path;
}

// Each source fills what the ones before have left open: flags, variables, then the file.
Result<ValueSources> CommandLineParser::fill(const Command& command, const CommandLineInput& input,
                                             Storage& storage) {
  ValueSources sources = given_flags(command);
  if (Status taken = take_variables(input.variables, command, &sources); !taken) {
    return taken.error();
  }
  if (no_config_) return sources;
  const bool named = app_->get_option("--config")->count() > 0;
  Status taken =
      take_config(config_path(input), named, commands_, command, program_, storage, &sources);
  if (!taken) return taken.error();
  return sources;
}

Result<std::string> CommandLineParser::print_config(const Command* chosen,
                                                    const CommandLineInput& input,
                                                    Storage& storage) {
  std::string text;
  for (const Command& command : commands_) {
    if (chosen != nullptr && &command != chosen) continue;
    Result<ValueSources> sources = fill(command, input, storage);
    if (!sources) return sources.error();
    text += (text.empty() ? "" : "\n") + printed_config(*command.parser, *sources);
    if (command.parser->get_name() != "serve" || !program_.print_tables) continue;
    text += program_.print_tables(config_path(input));
  }
  return text;
}

Result<CommandLine> CommandLineParser::parse(const CommandLineInput& input, Storage& storage) {
  std::vector<std::string> arguments = input.arguments;
  print_config_ = take_print_config(&arguments);
  if (print_config_) require_nothing(*app_, commands_);
  if (!arguments.empty() && !arguments[0].starts_with('-') &&
      find_command(commands_, arguments[0]) == nullptr) {
    return wrong_use(fmt::format("unknown command '{}'{}; {} --help lists them",
                                 printable(arguments[0]),
                                 suggestion(arguments[0], names_of(commands_)), program_.name));
  }
  CommandLine line;
  Result<std::string> help = parse_arguments(*app_, commands_, arguments);
  if (!help) return help.error();
  line.help = std::move(*help);
  if (!line.help.empty()) return line;
  auto found = std::find_if(commands_.begin(), commands_.end(),
                            [](const Command& command) { return command.parser->parsed(); });
  const Command* chosen = found == commands_.end() ? nullptr : &*found;
  if (print_config_) {
    Result<std::string> text = print_config(chosen, input, storage);
    if (!text) return text.error();
    line.help = std::move(*text);
    return line;
  }
  if (chosen == nullptr) return wrong_use("expected a command");
  line.command = chosen;
  if (Result<ValueSources> filled = fill(*chosen, input, storage); !filled) return filled.error();
  line.notices = unknown_variables(input.variables, commands_);
  return line;
}

}  // namespace potluck
