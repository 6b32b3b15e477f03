// What main() of both programs does: makes what everything depends on (clock, randomness, files,
// signals) and hands it to one command.
#pragma once

#include <functional>

#include "coordinator/cli/command_line.h"

namespace potluck {

// Called once, with what the commands get. It may fill what is the program's own in it.
using ProgramMaker = std::function<Program(Environment& environment)>;

// The exit code.
int program_main(int argc, char** argv, const ProgramMaker& make);

}  // namespace potluck
