// Scripts by which a shell completes the command line of a program, made from the catalog of
// commands: names of commands and flags, words that a flag chooses from, and files. They start no
// program. Pure functions; any thread.
#pragma once

#include <string>

#include "coordinator/cli/command_catalog.h"

namespace potluck {

std::string bash_completion(const Catalog& catalog);
std::string zsh_completion(const Catalog& catalog);
std::string fish_completion(const Catalog& catalog);

}  // namespace potluck
