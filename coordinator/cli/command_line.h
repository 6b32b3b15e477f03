// From the command line, the environment and the configuration file to a command that is ready to
// run. Flags win over environment variables, these over the file; all three go through the checks
// that belong to a flag, and the error says where the value came from. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/cli/command_catalog.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/config_file.h"
#include "coordinator/cli/printed_config.h"

namespace potluck {

using CommandAdder = Command (*)(CLI::App& app, Environment& environment);

// What makes one program of these commands.
struct Program {
  std::string name;                    // as people type it; also of its configuration file
  std::string help;                    // what it is, in a few words
  std::string without_arguments = {};  // what it does without any; empty: it shows its help
  std::vector<CommandAdder> commands;
  // Looks at all settings of the configuration file, and takes those of [[upstream]] tables. Not
  // given: there are no such tables.
  std::function<Status(const std::string& path, const std::vector<Setting>& settings)> take_tables =
      {};
  std::function<std::string(const std::string& path)> print_tables = {};  // for --print-config
  // Without arguments, where a person can be asked: those that the answers mean.
  std::function<Result<std::vector<std::string>>()> ask = {};
};

struct CommandLineInput {
  std::vector<std::string> arguments;            // without the program's name
  std::map<std::string, std::string> variables;  // the environment variables POTLUCK_..
  std::string config_path;                       // read if it is there and no --config is given
};

struct CommandLine {
  const Command* command = nullptr;  // to run; null where help or the configuration was asked for
  std::string help;                  // or the configuration
  std::vector<std::string> notices;  // what people should know, such as a misspelt variable
};

// The environment variables of this process that begin with POTLUCK_.
std::map<std::string, std::string> own_variables();

class CommandLineParser {
 public:
  // The environment must outlive the parser.
  CommandLineParser(Environment& environment, Program program);
  ~CommandLineParser();
  CommandLineParser(const CommandLineParser&) = delete;
  CommandLineParser& operator=(const CommandLineParser&) = delete;

  // Once. What is returned points into the parser. Errors are wrong use (kInvalidArgument).
  Result<CommandLine> parse(const CommandLineInput& input, Storage& storage);

  std::string help() const;
  Catalog catalog();
  const Program& program() const { return program_; }
  const std::vector<Command>& commands() const { return commands_; }

 private:
  Result<ValueSources> fill(const Command& command, const CommandLineInput& input,
                            Storage& storage);
  Result<std::string> print_config(const Command* chosen, const CommandLineInput& input,
                                   Storage& storage);
  const std::string& config_path(const CommandLineInput& input) const;

  const Program program_;
  std::unique_ptr<CLI::App> app_;
  std::string config_;
  bool no_config_ = false;
  bool print_config_ = false;
  std::vector<Command> commands_;
};

}  // namespace potluck
