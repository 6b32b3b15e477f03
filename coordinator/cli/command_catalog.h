// The catalog of commands: every command and flag of the program as plain data, taken from their
// declarations (flags.h). Shell completion, manual pages and --print-config are made from it, so
// that one line declares a flag for all of them and for the help. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/cli/cli11_fwd.h"

namespace potluck {

struct CatalogFlag {
  std::string name;                  // "--threads", or "MODEL" for what has no dashes
  std::string short_name;            // "-p", or empty
  std::string kind;                  // what stands for its value: "N", "SIZE"; empty for a switch
  std::vector<std::string> choices;  // if it takes one of a few words
  std::string help;
  std::string variable;       // the environment variable that sets it too, or empty
  std::string default_value;  // as it would be typed; empty where there is none
  std::string group;          // the heading that the help has for it
  bool operand = false;       // has no dashes
  bool required = false;
  bool repeats = false;  // may be given several times
};

struct CatalogCommand {
  std::string name;
  std::string help;
  std::vector<CatalogFlag> flags;  // in the order of the help
};

struct Catalog {
  std::string program;  // its name: "potluck"
  std::string help;
  std::string without_arguments;   // what it does then; empty: it shows its help
  std::vector<CatalogFlag> flags;  // that stand in front of the command
  std::vector<CatalogCommand> commands;
};

// The options of a parser, with those of its groups of which one is chosen.
std::vector<CLI::Option*> all_options(CLI::App& parser);
CatalogFlag describe_flag(CLI::Option& option);
CatalogCommand describe_command(CLI::App& parser);
Catalog describe_program(CLI::App& app);

// What a help says of a default in parentheses: "512" of "prompt tokens per step (default 512)";
// empty if it says nothing.
std::string default_in_words(const std::string& help);

// A flag that takes a value other than one of a few words or a number: perhaps a file.
bool may_be_file(const CatalogFlag& flag);

}  // namespace potluck
