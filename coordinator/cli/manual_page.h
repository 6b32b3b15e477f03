// Manual pages, made from the catalog of commands: one of the program and one of each command, in
// the macros of man(7). Pure functions; any thread.
#pragma once

#include <string>

#include "coordinator/cli/command_catalog.h"

namespace potluck {

// What the head of a page names.
struct ManualEdition {
  std::string version;
  std::string date;  // of the version: 2026-11-30
};

// PROGRAM(1): what it is, the commands, files and variables.
std::string program_page(const Catalog& catalog, const ManualEdition& edition);
// PROGRAM-NAME(1).
std::string command_page(const Catalog& catalog, const CatalogCommand& command,
                         const ManualEdition& edition);

}  // namespace potluck
