// From the command line, the environment and the configuration file to a command that is ready to
// run. Flags win over environment variables, these over the file; all three go through the checks
// that belong to a flag, and the error says where the value came from. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/cli/command_catalog.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/printed_config.h"

namespace potluck {

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
  explicit CommandLineParser(Environment& environment);
  ~CommandLineParser();
  CommandLineParser(const CommandLineParser&) = delete;
  CommandLineParser& operator=(const CommandLineParser&) = delete;

  // Once. What is returned points into the parser. Errors are wrong use (kInvalidArgument).
  Result<CommandLine> parse(const CommandLineInput& input, Storage& storage);

  std::string help() const;
  Catalog catalog();
  const std::vector<Command>& commands() const { return commands_; }

 private:
  Result<ValueSources> fill(const Command& command, const CommandLineInput& input,
                            Storage& storage);
  Result<std::string> print_config(const Command* chosen, const CommandLineInput& input,
                                   Storage& storage);
  const std::string& config_path(const CommandLineInput& input) const;

  Environment& environment_;
  std::unique_ptr<CLI::App> app_;
  std::string config_;
  bool no_config_ = false;
  bool print_config_ = false;
  std::vector<Command> commands_;
};

}  // namespace potluck
